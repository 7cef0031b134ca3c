"""Writes fixtures/sampling.json: what transformers' logits processors keep of random logits, and with what probability.

Usage: python tests/reference/generators/make_sampling_fixtures.py
"""

import json
import pathlib

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

torch.manual_seed(11)
torch.set_num_threads(1)
V = 211


def case(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition=1.0, scale=3.0, allowed=0) -> dict:
    logits = torch.randn(1, V) * scale
    seen = torch.randint(0, V, (1, 40))
    some = torch.randperm(V)[:allowed] if allowed else torch.arange(V)
    mask = torch.full((1, V), -torch.inf)
    mask[:, some] = 0
    steps = LogitsProcessorList()
    if repetition != 1.0:
        steps.append(RepetitionPenaltyLogitsProcessor(repetition))
    if temperature != 1.0:
        steps.append(TemperatureLogitsWarper(temperature))
    if top_k:
        steps.append(TopKLogitsWarper(top_k))
    if top_p < 1.0:
        steps.append(TopPLogitsWarper(top_p))
    if min_p:
        steps.append(MinPLogitsWarper(min_p))
    probabilities = steps(seen, logits + mask).double().softmax(-1)[0]
    kept = probabilities.nonzero()[:, 0]
    return {
        "temperature": temperature,
        "topK": top_k,
        "topP": top_p,
        "minP": min_p,
        "repetitionPenalty": repetition,
        "seen": sorted(set(seen[0].tolist())),
        **({"allowed": sorted(some.tolist())} if allowed else {}),
        "logits": logits[0].tolist(),
        "kept": kept.tolist(),
        "probabilities": [round(p, 9) for p in probabilities[kept].tolist()],
    }


cases = [
    case(),
    case(temperature=0.7, top_k=20),
    case(temperature=1.3, top_p=0.9),
    case(min_p=0.05),
    case(top_k=40, top_p=0.8),
    case(temperature=0.5, top_k=50, top_p=0.95, min_p=0.02, repetition=1.3),
    case(top_k=1),
    case(top_p=0.01, repetition=0.8),
    case(temperature=2.0, top_p=0.999, scale=8.0),
    case(min_p=1.0, repetition=1.1),
    case(allowed=90),
    case(allowed=3, temperature=1.2, top_k=20),
    case(allowed=60, top_k=15, top_p=0.9, repetition=1.2),
    case(allowed=40, top_p=0.7, min_p=0.02, temperature=0.8),
    case(allowed=1),
]
path = pathlib.Path(__file__).parents[1] / "fixtures" / "sampling.json"
path.parent.mkdir(exist_ok=True)
path.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(path, path.stat().st_size, "bytes")
