"""Writes fixtures/topk.json: the indices that the Q-Filters reference keeps, by torch.topk over distinct scores.

The reference: all but the last `window` entries compete, topk(capacity - window) of them stay, and the window.
Usage: python tests/reference/generators/make_topk_fixtures.py
"""

import json
import pathlib

import torch

torch.manual_seed(7)
torch.set_num_threads(1)


def case(n: int, capacity: int, window: int, scale: float) -> dict:
    scores = (torch.randn(n) * scale).to(torch.float32)
    while scores.unique().numel() < n:  # ties are unspecified in torch
        scores = (torch.randn(n) * scale).to(torch.float32)
    kept = scores[: n - window].topk(capacity - window).indices.tolist()
    kept += range(n - window, n)
    return {
        "name": f"{capacity} of {n}, window {window}, scores of scale {scale:g}",
        "capacity": capacity,
        "window": window,
        "kept": sorted(kept),
        "scores": scores.tolist(),
    }


cases = [
    case(97, 96, 16, 1.0),
    case(300, 96, 0, 1e-3),
    case(353, 128, 32, 10.0),
    case(600, 512, 64, 1e6),
    case(289, 1, 0, 1.0),
]
path = pathlib.Path(__file__).parents[1] / "fixtures" / "topk.json"
path.parent.mkdir(exist_ok=True)
path.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(path, path.stat().st_size, "bytes")
