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
    """Of the last global layer: queries and keys after norm and RoPE, queries before RoPE, values, the length of
    what enters, and Wo."""
    model = load_family(path, name)
    ids = sequence(model.config.vocab_size)
    use_masked(model)
    layers, entering, projected = [], [], []
    for layer in model.model.layers:
        attention = layer.self_attn
        # What RoPE is about to turn: [1, T, H D], [1, T, H, D] or [1, H, T, D].
        last = getattr(attention, "q_norm", attention.q_proj)
        last.register_forward_hook(lambda _, __, output: projected.append(output))
        layer.register_forward_pre_hook(
            lambda _, inputs: entering.append(inputs[0][0, list(POSITIONS)])
        )

    def record(module, query, key, value, *rest, **more):
        if not getattr(module, "is_sliding", False):
            heads = [x[0, :, list(POSITIONS)].transpose(0, 1) for x in (query, key, value)]
            plain = projected[-1]
            if plain.dim() == 4 and plain.shape[1] == query.shape[1]:
                plain = plain.transpose(1, 2)
            plain = plain.reshape(query.shape[2], -1)[list(POSITIONS)]
            layers.append((heads, plain, entering[-1].norm(dim=-1), module.o_proj.weight))
        return MASKED(module, query, key, value, *rest, **more)

    AttentionInterface.register("masked", record)
    with torch.no_grad():
        model(torch.tensor([ids]), use_cache=False)
    heads, plain, lengths, output = layers[-1]
    rounded = lambda x: [round(v, 5) for v in x.flatten().tolist()]
    q, k, v = [[rounded(row) for row in x] for x in heads]
    rows = [
        {"position": p, "q": q[i], "plain": rounded(plain[i]), "k": k[i], "v": v[i], "residual": round(lengths[i].item(), 5)}
        for i, p in enumerate(POSITIONS)
    ]
    # Of Wo [E, H D] the last row and the last column, which tell its order.
    output = {"size": output.numel(), "row": rounded(output[-1]), "column": rounded(output[:, -1])}
    return {"tokens": ids, "layer": len(layers) - 1, "rows": rows, "output": output}


def heads_fixture(root, write):
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(root, "tests", "reference", "tiny-model", "write-tiny.mjs")
        subprocess.run(["node", script, folder], check=True, cwd=root)
        found = {name: heads_of(os.path.join(folder, f"tiny-{name}.gguf"), name) for name in FAMILIES}
        write("tiny-heads.json", {"torch": torch.__version__, **found})
