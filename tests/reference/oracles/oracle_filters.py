"""The reference's calibration: filters from post-RoPE queries (see calibrate/ for ours)."""

import glob
import hashlib
import os

import torch
from safetensors.torch import save_file

from oracle_model import Llama, grouped_attention

SAMPLES, LENGTH = 3000, 2048


def documents(folder, tokenizer, count, length=LENGTH):
    """The first `count` texts (by name) with at least `length` tokens, as (path, truncated ids)."""
    found = []
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.txt"), recursive=True)):
        text = open(path, encoding="utf-8").read()
        if len(text) < 2 * length:
            continue
        ids = tokenizer(text)["input_ids"]
        if len(ids) >= length:
            found.append((path, ids[:length]))
        if len(found) == count:
            break
    return found


def save(path, values, docs, provenance):
    """A file as src/cache/filters-file.ts writes it, by the safetensors package."""
    hashes = [hashlib.sha256(open(text, "rb").read()).hexdigest() for text, _ in docs]
    metadata = {"version": "1", "samples": str(SAMPLES), "texts_sha256": " ".join(hashes)}
    save_file({"q_filters": values}, path, metadata={**provenance, **metadata})
    os.chmod(path, 0o644)


def capture(model, docs):
    """Queries after RoPE, [L][H, N, D], of all tokens of all documents."""
    llama = Llama(model)
    kept = [[] for _ in range(llama.L)]
    for _, ids in docs:
        seen = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()

        def attend(layer, q, k, v):
            kept[layer].append(q[0].clone())
            return grouped_attention(q, k, v, seen)

        llama.hidden(torch.tensor([ids]), torch.arange(len(ids)), attend)
    return [torch.cat(x, dim=1) for x in kept]


def orient(samples):
    """samples [N, D] fp32 -> (-s * Vh[0], share of the first direction)."""
    u, s, vh = torch.linalg.svd(samples, full_matrices=False)
    sign = 1.0 if (u[:, 0] > 0).float().mean() > 0.5 else -1.0
    return -sign * vh[0], (s[0] ** 2 / (s**2).sum()).item()


def filters_of_layer(samples, kv_heads):
    """samples [H, N, D] -> filters [G, D] and shares [H]."""
    heads, shares = zip(*[orient(x) for x in samples])
    H, D = len(heads), heads[0].shape[0]
    grouped = torch.stack(heads).view(kv_heads, H // kv_heads, D)
    return grouped.mean(dim=1), list(shares)


def filters(model, docs, seed=0):
    """-> [L, G, D] fp32, stored negative, in transformers' dimension order; shares [L][H]."""
    generator = torch.Generator().manual_seed(seed)
    out, shares = [], []
    for queries in capture(model, docs):
        rows = torch.randperm(queries.shape[1], generator=generator)[:SAMPLES]
        f, share = filters_of_layer(queries[:, rows], model.config.num_key_value_heads)
        out.append(f)
        shares.append(share)
    return torch.stack(out), shares
