"""Needles that have grown old, in PyTorch: a stream of Moby Dick with ten secret numbers in it, each asked for at some ages.

    python tests/reference/measurements/needles.py OUT.json winnow:512:fold streaming-llm:512:rank

Runs, texts and maps are those of streams.py. The text is a user's message, a name and its number come every --every tokens; where one is
--ages tokens old, a copy of the caches is asked for it in the model's chat form, and the stream goes on as if it had not been. `found`: the
number is what greedy decoding says behind "The secret number of NAME is". `chosen`: it is the likeliest of the ten numbers (chance 1 in 10).
"""

import argparse
import copy
import json
import os
import random
import time

import torch

from streams import CHUNK, ROOT, Calibration, Model, Stream, load_tokenizer, text_of

NAMES = "Ada Boris Clara Dmitri Elena Farid Greta Hugo Ingrid Jonas".split()


def state_of(stream):
    return copy.deepcopy((stream.layers, stream.seen, stream.next))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("runs", nargs="+", help="POLICY:BUDGET:MAP")
    parser.add_argument("--model", default=os.path.join(ROOT, ".cache", "models", "SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--filters", default=os.path.join(ROOT, "public", "filters", "smollm2-135m-instruct.safetensors"))
    parser.add_argument("--ages", type=int, nargs="+", default=[64, 16384, 32768])
    parser.add_argument("--every", type=int, default=512)
    parser.add_argument("--trained", type=int, default=8192)
    parser.add_argument("--fade", type=int, default=512)
    args = parser.parse_intermixed_args()
    runs = [(policy, int(budget), map_) for policy, budget, map_ in (run.split(":") for run in args.runs)]
    tokenizer = load_tokenizer(args.model)
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    numbers = [str(n) for n in random.Random(0).sample(range(10_000, 100_000), len(NAMES))]
    total = args.every * len(NAMES) + max(args.ages) + 2 * args.every
    hay = text_of(tokenizer, total, 1)
    ids, asks = encode("<|im_start|>user\n"), []
    for i, (name, number) in enumerate(zip(NAMES, numbers)):
        ids += hay[i * args.every : (i + 1) * args.every]
        ids += encode(f" The secret number of {name} is {number}. Remember it.")
        asks += [(len(ids) + age, i, age) for age in args.ages]
    ids = torch.tensor(ids + hay[args.every * len(NAMES) :])
    stream = Stream(Model(args.model), Calibration(args.filters), runs, args.trained, args.fade)
    answers = [torch.tensor(encode(f" {number}")) for number in numbers]
    results, started = [], time.time()

    def ask(i, age):
        """Adds what each run says of the i-th needle, and leaves the stream as it was."""
        before = state_of(stream)
        question = f"\n\nWhat is the secret number of {NAMES[i]}? Answer with the number only.<|im_end|>\n<|im_start|>assistant\n"
        asked = torch.tensor(encode(f"{question}The secret number of {NAMES[i]} is"))
        for part in asked.split(CHUNK):
            first = stream.step(part)[:, -1:]
        read, losses, found = state_of(stream), [], None
        for candidate, answer in enumerate(answers):
            stream.layers, stream.seen, stream.next = copy.deepcopy(read)
            logits = torch.cat([first, stream.step(answer)[:, :-1]], 1)
            losses.append(-logits.log_softmax(-1)[:, torch.arange(len(answer)), answer].sum(-1))
            if candidate == i:
                found = (logits.argmax(-1) == answer).all(-1)
        stream.layers, stream.seen, stream.next = before
        chosen = torch.stack(losses).argmin(0) == i
        results.append({"age": age, "name": NAMES[i], "found": found.tolist(), "chosen": chosen.tolist()})
        print(stream.seen, f"{time.time() - started:.0f} s", results[-1], flush=True)
        with open(args.out, "w", encoding="utf-8") as f:
            json.dump({"runs": args.runs, "every": args.every, "asked": results}, f)

    asks.sort()
    while asks:
        at = asks[0][0]
        while stream.seen < at:
            stream.step(ids[stream.seen : min(stream.seen + CHUNK, at)])
        _, i, age = asks.pop(0)
        ask(i, age)
    for age in args.ages:
        for key in ("found", "chosen"):
            trials = [r[key] for r in results if r["age"] == age]
            print(age, key, {run: sum(t[b] for t in trials) for b, run in enumerate(args.runs)}, "of", len(trials))


if __name__ == "__main__":
    main()
