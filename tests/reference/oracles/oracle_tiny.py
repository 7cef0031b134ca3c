"""tiny-*.json: the tiny models of tiny-model.ts, read back from their GGUF by transformers."""

import hashlib
import os
import subprocess
import tempfile

import torch

from oracle_eviction import POLICIES, full_loss, simulate
from oracle_families import cached_layers, load_family, losses, simulate_masked, use_masked
from oracle_logits import describe
from oracle_model import check, load

TOKENS, BUDGET, CHUNK = 50, 16, 20
POSITIONS = (0, 24, TOKENS - 1)
#: Models that the written-out Llama of oracle_model.py does not cover.
FAMILIES = ("llama3", "smollm3", "qwen2", "qwen3", "gemma3", "lfm2", "granite", "phi3", "phi3-window", "mistral3", "qwen35", "gemma4")


def sequence(vocab):
    """Token ids that repeat with a twist, so that attention has something to find."""
    return [(i * 37 + 5 * (i // 7) + 3) % vocab for i in range(TOKENS)]


def types_fixture(path, family, sha256):
    """Matrices of every weight type: logits alone."""
    model = load_family(path, family)
    ids = sequence(model.config.vocab_size)[:25]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    rounded = {p: [round(x, 5) for x in logits[p].tolist()] for p in (5, 24)}
    return {"gguf_sha256": sha256, "tokens": ids, "logits": rounded}


def tiny_fixture(path):
    name = os.path.basename(path).removeprefix("tiny-").removesuffix(".gguf")
    sha256 = hashlib.sha256(open(path, "rb").read()).hexdigest()
    if name.startswith("types-"):
        return types_fixture(path, name.removeprefix("types-"), sha256)
    family = name in FAMILIES
    model = load_family(path, name) if family else load(path)
    ids = sequence(model.config.vocab_size)
    if not family:
        assert check(model, ids) < 1e-4
    config = model.config
    head_dim = getattr(config, "global_head_dim", None) or getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    shape = (cached_layers(config), config.num_key_value_heads, head_dim)
    filters = torch.randn(shape, generator=torch.Generator().manual_seed(7)) * 0.3
    filters = (filters * 1e4).round() / 1e4
    runs = [{**p, "window": 6, "sinks": min(p["sinks"], 2)} for p in POLICIES]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    nll = full_loss(model, ids)
    greedy = describe(model, ids, top=5)["greedy"]
    if family:
        use_masked(model)
        assert (losses(model, ids) - nll).abs().max() < 1e-4

    def evict(step):
        if family:
            return simulate_masked(model, ids, filters, runs, BUDGET, step)
        return simulate(model, ids, filters, runs, BUDGET, step, range(shape[0]))

    return {
        "gguf_sha256": sha256,
        "tokens": ids,
        "logits": {p: [round(x, 5) for x in logits[p].tolist()] for p in POSITIONS},
        "nll": [round(x, 5) for x in nll.tolist()],
        "greedy": greedy,
        "eviction": {
            "budget": BUDGET,
            "filters": [[[round(x, 4) for x in g] for g in layer] for layer in filters.tolist()],
            "decode": evict(1),
            "chunk": CHUNK,
            "chunked": evict(CHUNK),
        },
    }


def tiny_fixtures(root, write):
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(root, "tests", "reference", "tiny-model", "write-tiny.mjs")
        subprocess.run(["node", script, folder], check=True, cwd=root)
        for name in sorted(os.listdir(folder)):
            write(name.replace(".gguf", ".json"), tiny_fixture(os.path.join(folder, name)))
