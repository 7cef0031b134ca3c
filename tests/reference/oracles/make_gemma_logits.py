"""tests/model/fixtures/logits-gemma3.json: Gemma 3 270M by transformers in fp32, on the dequantised weights.

    python tests/reference/oracles/make_gemma_logits.py gemma-3-270m-q4_k_m.gguf

Five prompts, the longest beyond the sliding window of 512. Token ids and logits only: no text, no weights.
"""

import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from oracle_logits import HARBOUR, describe, probe_ids

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "..", "..", "model", "fixtures")
LENGTHS = (1, 7, 40, 128, 700)


def main(path):
    folder, file = os.path.split(os.path.abspath(path))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    passage = open(os.path.join(FIXTURES, "passage.txt"), encoding="utf-8").read()
    text = f"{passage}\n\n{HARBOUR}\n\n{passage}"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    bos = tokenizer.bos_token_id
    records = []
    for length in LENGTHS:
        tokens = ([bos] + ids)[:length] if length > 1 else [bos]
        assert len(tokens) == length
        records.append({"name": f"{length} tokens", **describe(model, tokens)})
        print(length, records[-1]["top"]["ids"][:3], records[-1]["greedy"]["tokens"], flush=True)
    fixture = {
        "torch": torch.__version__,
        "probe_ids": probe_ids(model.config.vocab_size),
        "prompts": records,
    }
    with open(os.path.join(FIXTURES, "logits-gemma3.json"), "w", encoding="utf-8") as out:
        json.dump(fixture, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
