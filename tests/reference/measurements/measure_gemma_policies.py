"""Perplexity of Gemma 3 270M under each policy, in fp32 PyTorch: the budget on its global layers, token by token.

    python tests/reference/measurements/measure_gemma_policies.py gemma-3-270m-q4_k_m.gguf [--tokens 1280] [--out FILTERS.safetensors]

Filters from State of the Union speeches, as `winnow calibrate` makes them; text: chapters of
Moby Dick. Both begin with <bos>. `winnow ppl --bos` gives the same losses but for its f16 pages.
"""

import argparse
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "oracles"))
from oracle_families import MASKED, use_masked
from oracle_filters import SAMPLES, filters_of_layer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DATA = os.path.join(ROOT, "node_modules", "@stdlib")
SPEECHES = ["1934_franklin_d_roosevelt_d", "1961_john_f_kennedy_d", "1985_ronald_reagan_r", "2010_barack_obama_d"]
POLICIES = ["full", "q-filters", "k-norm", "streaming-llm", "random"]


def read(*parts):
    return open(os.path.join(DATA, *parts), encoding="utf-8").read()


class Capture:
    """Keeps the queries of global layers after norm and RoPE, [H, N, D] a layer."""

    def __init__(self):
        self.kept = {}
        self.plain = MASKED.__call__

    def __call__(self, module, query, *rest, **named):
        if not module.is_sliding:
            self.kept.setdefault(module.layer_idx, []).append(query[0].clone())
        return self.plain(module, query, *rest, **named)


@torch.no_grad()
def calibrated(model, documents):
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    capture = Capture()
    AttentionInterface.register("captured", capture)
    ALL_MASK_ATTENTION_FUNCTIONS.register("captured", ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    model.set_attn_implementation("captured")
    for ids in documents:
        model.model(torch.tensor([ids]), use_cache=False)
    generator = torch.Generator().manual_seed(0)
    out = {}
    for layer, queries in sorted(capture.kept.items()):
        queries = torch.cat(queries, dim=1)
        rows = torch.randperm(queries.shape[1], generator=generator)[:SAMPLES]
        out[layer], shares = filters_of_layer(queries[:, rows], model.config.num_key_value_heads)
        print(f"layer {layer}: first direction's share of the queries", [round(x, 3) for x in shares], flush=True)
    return out


@torch.no_grad()
def perplexity(model, ids, run, filters, budget):
    MASKED.run, MASKED.filters, MASKED.budget, MASKED.step = run, filters, budget, 1
    hidden = model.model(torch.tensor([ids]), use_cache=False).last_hidden_state[0]
    MASKED.run = None
    losses = []
    for start in range(1, len(ids) - 1, 64):  # what follows <bos> is not counted, as in `winnow ppl --bos`
        rows = model.lm_head(hidden[start : min(start + 64, len(ids) - 1)]).log_softmax(-1)
        wanted = torch.tensor(ids[start + 1 : start + 1 + len(rows)])
        losses.append(-rows[torch.arange(len(rows)), wanted].double())
    return torch.cat(losses).mean().exp().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=1280)
    parser.add_argument("--chapters", default="1")
    parser.add_argument("--budget", type=int, default=128)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--speeches", type=int, default=4)
    parser.add_argument("--length", type=int, default=2048, help="tokens of each speech")
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder, file = os.path.split(os.path.abspath(args.model))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()
    encode = lambda text, n: [tokenizer.bos_token_id] + tokenizer(text, add_special_tokens=False)["input_ids"][:n]
    filters = calibrated(model, [encode(read("datasets-sotu", "data", f"{s}.txt"), args.length - 1) for s in SPEECHES[: args.speeches]])
    if args.out:
        save_file({"q_filters": torch.stack(list(filters.values()))}, args.out)
    use_masked(model)
    for chapter in args.chapters.split(","):
        ids = encode(read("datasets-moby-dick", "data", f"chapter_{chapter}.txt"), args.tokens)
        base = None
        for policy in POLICIES:
            run = None if policy == "full" else {"policy": policy, "window": args.window, "sinks": 4}
            ppl = perplexity(model, ids, run, filters, args.budget)
            base = base or ppl
            print(f"chapter {chapter}, {len(ids) - 1} tokens, {policy}: {ppl:.2f}, ratio {ppl / base:.4f}", flush=True)


if __name__ == "__main__":
    main()
