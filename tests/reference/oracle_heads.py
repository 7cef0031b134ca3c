"""tiny-heads.json: what heads of the tiny families make of a sequence, from transformers' own models."""

import os
import subprocess
import tempfile

import torch
from transformers import AttentionInterface

from oracle_families import MASKED, load_family, use_masked
from oracle_tiny import FAMILIES, sequence

POSITIONS = (0, 17, 49)


def heads_of(path, name):
    """Queries and keys after norm and RoPE, and values, of the last global layer."""
    model = load_family(path, name)
    ids = sequence(model.config.vocab_size)
    use_masked(model)
    layers = []

    def record(module, query, key, value, *rest, **more):
        if not getattr(module, "is_sliding", False):
            layers.append([x[0, :, list(POSITIONS)].transpose(0, 1) for x in (query, key, value)])
        return MASKED(module, query, key, value, *rest, **more)

    AttentionInterface.register("masked", record)
    with torch.no_grad():
        model(torch.tensor([ids]), use_cache=False)
    rounded = [[[round(v, 5) for v in row.flatten().tolist()] for row in x] for x in layers[-1]]
    q, k, v = rounded
    rows = [{"position": p, "q": q[i], "k": k[i], "v": v[i]} for i, p in enumerate(POSITIONS)]
    return {"tokens": ids, "layer": len(layers) - 1, "rows": rows}


def heads_fixture(root, write):
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(root, "tests", "reference", "write-tiny.mjs")
        subprocess.run(["node", script, folder], check=True, cwd=root)
        found = {name: heads_of(os.path.join(folder, f"tiny-{name}.gguf"), name) for name in FAMILIES}
        write("tiny-heads.json", {"torch": torch.__version__, **found})
