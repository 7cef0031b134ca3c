"""Documents that are read twice before they are compressed, in PyTorch: what a question that comes afterwards still finds.

    node tests/reference/measurements/prompts.mjs RULER.json TASKS 1024 5 3000 TEXT
    python tests/reference/measurements/reread.py read RULER.json FOLDER
    python tests/reference/measurements/reread.py compare RULER.json FOLDER OUT.json --arms winnow/heads/rest replay/repeat/rest
    python tests/reference/measurements/reread.py answer RULER.json FOLDER OUT.json --arms full replay/repeat/rest/evicts

`read` keeps each document's pairs and what several observers say of them in FOLDER. The second reading is the document's own
tokens once more (`asked`: behind the words "Repeat the previous context exactly.", as KVzip has it, arXiv 2505.23416): a pair's
score is the most attention that a row of it pays, over the query heads of its group. It is not kept.

`compare` puts the uncompressed run's answer through every arm at once: the KL divergence of the next token, how often the likeliest is
the same, and whether it is until the answer has all that it will have. `answer` decodes, and counts what was expected.

An arm is SCORE/BUDGETS/REMAINDER/AFTERWARDS, all but the first may be left out:
  SCORE       winnow, streaming-llm, k-norm, random, full; replay, asked (attention in the second reading); error (its output-error
              term: p / (1 - p) |W_o (v - o)| / |x|); own (attention that the document's own rows pay); a+w0.5: ln a + 0.5 winnow
  BUDGETS     uniform; heads (as calibrated; heads*0, heads*10, heads*inf by the weight of second readings: streams.py);
              all (the best of all heads together, 32 of each at least); repeat (what `all` gives each
              head with `replay`, as a mean over the documents of the other tasks: known before the document is)
  REMAINDER   none, or rest: what a head drops attends as one more pair
  AFTERWARDS  grow (nothing is dropped after the document), or evicts: by winnow's scores, the question's attention among them
"""

import argparse
import json
import math
import os
import time

import torch

from reread_model import Scores, answer, read, replay, say
from streams import ROOT, SINKS, WINDOW, Calibration, Model, load_tokenizer

REPEAT = "\n\nRepeat the previous context exactly.<|im_end|>\n<|im_start|>assistant\n"
FLOOR = 32


def top(score, capacity):
    """The best of each head [L, G, N]: capacity [L, G]."""
    return ranks(score) < capacity[..., None]


def top_of_all(score, total):
    """The best of all heads together, FLOOR of each at least."""
    s = protected(score).masked_fill(ranks(score) < FLOOR, math.inf)
    mask = torch.zeros(s.numel(), dtype=torch.bool)
    mask[s.flatten().argsort(descending=True)[:total]] = True
    return mask.view(s.shape)


def ranks(score):
    return protected(score).argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)


def protected(score):
    at = torch.arange(score.shape[-1])
    return score.masked_fill((at < SINKS) | (at >= len(at) - WINDOW), math.inf)


def standard(x):
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True)


def score_of(name, doc):
    L, G, N, _ = doc["K"].shape
    if "+w" in name:
        name, weight = name.split("+w")
        return standard((score_of(name, doc) + 1e-6).log()) + float(weight) * doc["winnow"]
    if name == "streaming-llm":
        return torch.arange(N).float().expand(L, G, N)
    if name == "k-norm":
        return -doc["K"].norm(dim=-1)
    if name == "random":
        return torch.rand(L, G, N, generator=torch.Generator().manual_seed(0))
    return doc[name]


def arm_of(name, doc, capacities, budget):
    """What is kept of a document [L, G, N], whether the rest is remembered, whether pairs are dropped afterwards."""
    parts = name.split("/")
    score, budgets, rest, after = parts + ["uniform", "none", "grow"][len(parts) - 1 :]
    L, G, N, _ = doc["K"].shape
    if score == "full":
        return torch.ones(L, G, N, dtype=torch.bool), False, False
    s = score_of(score, doc)
    if budgets == "all":
        mask = top_of_all(s, budget * L * G)
    else:
        mask = top(s, torch.full((L, G), budget) if budgets == "uniform" else capacities[budgets])
    return mask, rest == "rest", after == "evicts"


def repeat_budgets(prompts, folder, budget):
    """{task: [L, G]}: see the file's head."""
    counts = {}
    for i, prompt in enumerate(prompts):
        doc = torch.load(os.path.join(folder, f"{i}.pt"))
        L, G, _ = doc["replay"].shape
        counts.setdefault(prompt["task"], []).append(top_of_all(doc["replay"], budget * L * G).sum(-1).float())
    others = lambda task: torch.cat([torch.stack(x) for other, x in counts.items() if other != task or len(counts) == 1])
    return {task: others(task).mean(0).floor().long() for task in counts}


def observed(model, scores, tokenizer, ids):
    """A document's pairs, and the scores of them."""
    doc = read(model, torch.tensor(ids))
    user = tokenizer("<|im_start|>user\n", add_special_tokens=False)["input_ids"]
    start = next(j for j in range(len(ids)) if ids[j : j + len(user)] == user) + len(user)
    doc |= replay(model, doc, torch.tensor(ids[start:]))
    asked = tokenizer(REPEAT, add_special_tokens=False)["input_ids"]
    doc["asked"] = replay(model, doc, torch.tensor(asked + ids[start:]))["replay"]
    every = torch.ones(model.G, len(ids), dtype=torch.bool)
    of = lambda l: scores.prompt(l, doc["K"][l], doc["V"][l], torch.arange(len(ids)), len(ids) - 1, doc["last"][l], every, 0)
    doc["winnow"] = torch.stack([of(l) for l in range(model.L)])
    return {k: x.half() if k in "KV" else x for k, x in doc.items()}


def found(text, prompt):
    n = sum(e.lower() in text.lower() for e in prompt["expected"])
    return n / len(prompt["expected"]) if prompt["match"] == "all" else float(n > 0)


def compared(model, doc, arms, prompt, tokenizer):
    """Of each arm, beside the uncompressed run: KL, share of equal tokens, whether the answer is the same as far as it counts."""
    full = torch.ones(doc["K"].shape[:3], dtype=torch.bool), False, False
    ids = answer(model, None, doc, [full], prompt, lambda ids: found(tokenizer.decode(ids), prompt) == 1)[0]
    right = found(tokenizer.decode(ids), prompt)
    enough = next((n for n in range(1, len(ids) + 1) if found(tokenizer.decode(ids[:n]), prompt) == right), 1) if right else 24
    forced = ids[: min(max(enough, 12), 48)]
    logp = torch.cat([say(model, doc, some, prompt, forced) for some in batches([full, *arms], 8)]).log_softmax(-1)
    same = (logp.argmax(-1) == torch.tensor(forced)).float()
    kl = (logp[0].exp() * (logp[0] - logp)).sum(-1).mean(1)
    return right, list(zip(kl.tolist(), same.mean(1).tolist(), same[:, :enough].amin(1).tolist()))[1:]


def batches(items, size):
    return [items[i : i + size] for i in range(0, len(items), size)]


def interval(x):
    """95 % of the mean, by bootstrap"""
    draws = torch.randint(len(x), (4000, len(x)), generator=torch.Generator().manual_seed(0))
    means = x[draws].mean(1).sort().values
    return f"{x.mean():.3f} ({means[100]:.3f} to {means[3899]:.3f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["read", "compare", "answer"])
    parser.add_argument("prompts")
    parser.add_argument("folder")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--arms", nargs="*", default=[])
    parser.add_argument("--budget", type=int, default=128)
    parser.add_argument("--trials", type=int, default=99)
    parser.add_argument("--model", default=os.path.join(ROOT, ".cache", "models", "SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--filters", default=os.path.join(ROOT, "public", "filters", "smollm2-135m-instruct.safetensors"))
    args = parser.parse_args()
    tokenizer, model, known = load_tokenizer(args.model), Model(args.model), Calibration(args.filters)
    scores = Scores(model, known)
    with open(args.prompts, encoding="utf-8") as f:
        prompts = json.load(f)
    os.makedirs(args.folder, exist_ok=True)
    calibrated = {name: known.capacities(name, args.budget) for arm in args.arms for name in arm.split("/")[1:2] if name.startswith("heads")}
    repeated = repeat_budgets(prompts, args.folder, args.budget) if any("/repeat" in arm for arm in args.arms) else {}
    results, started = [], time.time()
    for i, prompt in sorted(enumerate(prompts), key=lambda x: x[1]["trial"]):
        file = os.path.join(args.folder, f"{i}.pt")
        if prompt["trial"] >= args.trials:
            break
        if args.what == "read":
            if not os.path.exists(file):
                torch.save(observed(model, scores, tokenizer, prompt["parts"][0]), file)
            print(i, prompt["task"], f"{time.time() - started:.0f} s", flush=True)
            continue
        doc = {k: x.float() for k, x in torch.load(file).items()}
        capacities = {"repeat": repeated.get(prompt["task"]), **calibrated}
        arms = [arm_of(name, doc, capacities, args.budget) for name in args.arms]
        if args.what == "compare":
            right, got = compared(model, doc, arms, prompt, tokenizer)
        else:
            ids = answer(model, scores, doc, arms, prompt, lambda ids: found(tokenizer.decode(ids), prompt) == 1)
            right, got = None, [found(tokenizer.decode(x), prompt) for x in ids]
        results.append({"task": prompt["task"], "trial": prompt["trial"], "right": right, "got": got})
        print(i, prompt["task"], right, f"{time.time() - started:.0f} s", got, flush=True)
        with open(args.out, "w", encoding="utf-8") as f:
            json.dump({"arms": args.arms, "results": results}, f)
    for b, name in enumerate(args.arms if results else []):
        mine = torch.tensor([r["got"][b] for r in results])
        if args.what == "answer":
            print(f"{name:30s}", interval(mine))
        else:
            kl, same, whole = mine.unbind(1)
            print(f"{name:30s} KL {interval(kl)}, median {kl.median():.3f}; same token {same.mean():.3f}; same answer {int(whole.sum())} of {len(mine)}")


if __name__ == "__main__":
    main()
