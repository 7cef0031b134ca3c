"""mass-tiny.json: the attention mass that policies retain on the tiny model, token by token from the start.

At every EVERY-th position: of the uncompressed model's attention (its own queries, softmax over all tokens so
far), the share that falls on what the policy's cache holds once it has taken the token in; mean over layers and
query heads. The uncompressed attention is of one causal forward, the kept sets are of oracle_policies' simulation.
"""

import math
import os

import torch
from safetensors.torch import load_file

from oracle_model import Llama, grouped_attention
from oracle_policies import Simulation, heads_of, sequence, tiny_model

TOKENS, EVERY = 260, 31
RUNS = [
    {"policy": policy, "budget": 64, "window": 16, "sinks": 4, "whole": whole}
    for policy, whole in [("q-filters", 0), ("keydiff", 0), ("k-norm", 0), ("streaming-llm", 0), ("keydiff", 1)]
]


def full_attention(llama, ids):
    """[L, H, T, T]"""
    out = []

    def attend(layer, q, k, v):
        causal = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
        keys = k[0].repeat_interleave(llama.H // llama.G, dim=0)
        logits = q[0] @ keys.mT / math.sqrt(llama.D)
        out.append(logits.masked_fill(~causal, -math.inf).double().softmax(-1))
        return grouped_attention(q, k, v, causal)

    llama.hidden(torch.tensor([ids]), torch.arange(len(ids)), attend)
    return torch.stack(out)


def retained(llama, ids, run, heads, attention):
    simulation = Simulation(llama, run["policy"], run, heads)
    masses = []
    for t in range(TOKENS - 1):
        simulation.logits(ids[t : t + 1], t)
        if (t + 1) % EVERY == 0:
            kept = simulation.kept[:, :, :TOKENS].repeat_interleave(llama.H // llama.G, dim=1)
            masses.append((attention[:, :, t] * kept).sum(-1).mean().item())
    print(run, masses, flush=True)
    return {**run, "mass": [round(x, 6) for x in masses]}


def mass_fixture(root, folder, provenance, write):
    model = tiny_model(root)
    ids = sequence(model.config.vocab_size, TOKENS, 3)
    llama = Llama(model)
    heads = heads_of(llama, load_file(os.path.join(folder, "policies-tiny.safetensors")))
    attention = full_attention(llama, ids)
    runs = [retained(llama, ids, run, heads, attention) for run in RUNS]
    write("mass-tiny.json", {**provenance, "tokens": ids, "every": EVERY, "runs": runs})
