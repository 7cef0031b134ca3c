"""calibrate.json and calibrate-*.bin: queries and the filters torch.linalg.svd makes of them."""

import json
import os

import numpy as np
import torch

from oracle_filters import filters_of_layer

SHAPES = [("small", 6, 2, 16, 200), ("wide", 3, 1, 64, 128)]


def correlated(generator, N, D, strength):
    """Anisotropic rows with a mean: what post-RoPE queries look like (a cone, not a ball)."""
    scale = torch.logspace(0, -1.2, D)[torch.randperm(D, generator=generator)]
    basis = torch.linalg.qr(torch.randn(D, D, generator=generator))[0]
    noise = (torch.randn(N, D, generator=generator) * scale) @ basis
    return noise + strength * basis[0]


def calibrate_fixture(folder):
    generator = torch.Generator().manual_seed(20241)
    cases = []
    for name, H, G, D, N in SHAPES:
        # Mean strengths of both signs; 0.35 leaves the leading direction barely one-sided.
        strengths = [3.0, -2.0, 0.35, 1.0, -0.35, -4.0][:H]
        queries = torch.stack([correlated(generator, N, D, s) for s in strengths])
        f, shares = filters_of_layer(queries, G)
        file = f"calibrate-{name}.bin"
        # [N, H, D], the order a QuerySource yields.
        rows = queries.transpose(0, 1).contiguous().numpy().astype("<f4")
        rows.tofile(os.path.join(folder, file))
        u = [torch.linalg.svd(x, full_matrices=False)[0][:, 0] for x in queries]
        sides = [max((x > 0).float().mean().item(), (x < 0).float().mean().item()) for x in u]
        case = {"name": name, "file": file, "heads": H, "kvHeads": G, "headDim": D, "rows": N}
        case["filters"] = np.round(f.double().numpy(), 7).tolist()
        case["explained"] = [round(s, 6) for s in shares]
        case["oneSided"] = [round(s, 3) for s in sides]
        cases.append(case)
        print(name, "shares", case["explained"], "one-sided", case["oneSided"], flush=True)
    with open(os.path.join(folder, "calibrate.json"), "w", encoding="utf-8") as f:
        json.dump({"torch": torch.__version__, "cases": cases}, f, separators=(",", ":"))
        f.write("\n")
