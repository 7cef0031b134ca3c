"""reread-tiny.json: what winnow keeps of prompts that are read twice (KVzip, arXiv 2505.23416), in PyTorch.

The tiny model, fp32, as in oracle_policies. A block of a prompt is followed by its own tokens once more, in each layer: a pair's score
is the most attention that a row of this second reading pays to it, over the query heads of its group, and only then is the layer's
cache compressed, under head budgets that heed second readings. Nothing of the second reading is kept. A second block of the same
prompt leaves what is cached the larger of its score and what the new second reading pays; a new prompt scores it anew.
"""

import math
import os

import numpy as np
import torch
from safetensors.torch import load_file

from oracle_model import Llama, grouped_attention
from oracle_policies import DECODED, LOSS_BUDGETS, PROMPT, SECOND, Simulation, heads_of, lower_hull, sequence, tiny_model

RUN = {"budget": 64, "window": 16, "sinks": 4}
BLOCK = 200
SINKS, WINDOW = 4, 24
PARTS = [0, 8, 16, 32, 64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 896, 960, 1024]


class Rereading(Simulation):
    def __init__(self, llama, heads, budgets, total):
        super().__init__(llama, "winnow", RUN, heads)
        self.budgets = budgets
        size = lambda x: torch.zeros(*x.shape[:2], total, *x.shape[3:], dtype=x.dtype)
        for name in ("k", "v", "scores", "kept", "doubtful", "dropped"):
            setattr(self, name, size(getattr(self, name)))

    def read_twice(self, ids, start, scored=False):
        """Logits [n, V] of a block of n tokens."""
        n, G = len(ids), self.llama.G
        end, positions = start + n, torch.arange(start, start + 2 * n)
        first = positions[:n]

        def attend(layer, q, k, v):
            self.k[layer, :, first], self.v[layer, :, first] = k[0, :, :n], v[0, :, :n]
            self.kept[layer, :, first] = True
            both = lambda cache, x: torch.cat([cache[layer, :, :end], x[0, :, n:]], 1)
            keys, values = both(self.k, k), both(self.v, v)
            there = torch.cat([self.kept[layer, :, :end], torch.ones(G, n, dtype=torch.bool)], 1)
            sees = there[:, None] & (torch.arange(end + n) <= positions[:, None])
            remainder = self.remainder(layer)
            out = grouped_attention(q, keys[None], values[None], sees[None], remainder)
            for g in range(G):
                group = q[0, :, n:].unflatten(0, (G, -1))[g]
                logits = (group @ keys[g].T / math.sqrt(self.llama.D)).masked_fill(~sees[g, n:], -math.inf)
                rest = group @ remainder[0][g] / math.sqrt(self.llama.D) + remainder[2][g]
                weights = torch.cat([logits, rest[..., None]], -1).softmax(-1)
                most = weights[..., :end].double().amax((0, 1))
                old = self.scores[layer, g, :end] if scored else torch.zeros(end)
                kept = torch.nonzero(self.kept[layer, g, :end]).flatten()
                self.scores[layer, g, kept] = torch.maximum(most, old)[kept]
                self.evict(layer, g, end)
            return out

        return self.llama.logits(torch.tensor([list(ids) * 2]), positions, attend)[0, :n]


def attention_of(llama, ids):
    """[L, G, N] of a document, uncompressed."""
    everything = [[math.inf] * llama.G] * llama.L
    simulation = Rereading(llama, heads_of_nothing(llama), everything, len(ids))
    simulation.read_twice(ids, 0)
    return simulation.scores


def heads_of_nothing(llama):
    """Their losses are looked at, and of no use."""
    nothing = type("Head", (), {"head_loss": torch.zeros(5)})
    return [[nothing] * llama.G for _ in range(llama.L)]


def curve(attention):
    """[L, G, N] -> budgets [B] and the roots of what is beyond the best of each [L, G, B]"""
    n = attention.shape[-1]
    budgets = list(dict.fromkeys(math.floor(part / 1024 * n + 0.5) for part in PARTS))
    rest = attention[..., SINKS : n - WINDOW].sort(-1, descending=True).values
    beyond = lambda b: rest[..., max(0, b - SINKS - WINDOW) :].sum(-1)
    return budgets, torch.stack([beyond(b) for b in budgets], -1).sqrt()


def divided(loss, budgets, roots, mean):
    """Budgets [L][G] of the same mean: one pair after the other goes where it lowers the sum most, of what heads lose of the next tokens
    and three times of what they lose of second readings, in documents of 8 budgets: each as shares of what all lose with the mean."""
    scaled = [32 * math.floor(8 * mean * b / budgets[-1] / 32 + 0.5) for b in budgets]
    grid = sorted(n for n in {*LOSS_BUDGETS, *scaled} if n >= 32)
    both = zip(shares(LOSS_BUDGETS, loss, grid, mean), shares(scaled, roots, grid, mean))
    curves = [lower_hull(grid, (chat + 3 * document).tolist()) for chat, document in both]
    pairs = [32] * len(curves)
    for _ in range((mean - 32) * len(curves)):
        gains = [c(n) - c(n + 1) if n < grid[-1] else -math.inf for c, n in zip(curves, pairs)]
        pairs[gains.index(max(gains))] += 1
    return torch.tensor(pairs).view(roots.shape[:2]).tolist()


def shares(budgets, losses, grid, mean):
    """Of each head, its squared loss with so many pairs, as a share of what all lose with the mean."""
    points = [dict(zip(budgets, y)) for y in losses.square().flatten(0, 1).tolist()]
    at = [np.interp([*grid, mean], list(p), list(p.values())) for p in points]
    return [y[:-1] / sum(y[-1] for y in at) for y in at]


def losses(logits, ids, first):
    return [round(-row.double().log_softmax(-1)[t].item(), 5) for row, t in zip(logits, ids[first:])]


def reread_fixture(root, folder, provenance, write):
    model = tiny_model(root)
    llama, vocab = Llama(model), model.config.vocab_size
    known = load_file(os.path.join(folder, "policies-tiny.safetensors"))
    heads = heads_of(llama, known)
    ids, second = sequence(vocab, PROMPT + DECODED, 1), sequence(vocab, SECOND, 4)
    # Heads of a random model are alike: scaled, each a bit more, they want different budgets.
    attention = attention_of(llama, sequence(vocab, 200, 2)).float()
    budgets, roots = curve(attention)
    sharpened = roots * torch.tensor([[1.0, 3.0], [0.7, 1.6]])[..., None]
    own = divided(known["head_loss"], budgets, sharpened, RUN["budget"])

    simulation = Rereading(llama, heads, own, PROMPT + DECODED + SECOND)
    logits = simulation.read_twice(ids[:PROMPT], 0)
    prompt = simulation.positions(simulation.kept)
    nll = losses(logits[-1:], ids, PROMPT)
    for t in range(PROMPT, PROMPT + DECODED - 1):
        nll += losses(simulation.logits(ids[t : t + 1], t)[-1:], ids, t + 1)
    simulation.logits(ids[-1:], PROMPT + DECODED - 1)
    end = simulation.positions(simulation.kept)
    simulation.read_twice(second, PROMPT + DECODED)
    assert simulation.doubtful.float().mean() < 0.1
    run = {"policy": "winnow", "reread": True, **RUN, "prompt": prompt, "end": end}
    run |= {"second": simulation.positions(simulation.kept), "doubtful": simulation.positions(simulation.doubtful), "nll": nll}

    long = torch.randint(3, vocab, (2 * BLOCK + 1,), generator=torch.Generator().manual_seed(5)).tolist()
    blocks = Rereading(llama, heads, own, 2 * BLOCK)
    blocks.read_twice(long[:BLOCK], 0)
    last = blocks.read_twice(long[BLOCK : 2 * BLOCK], BLOCK, scored=True)
    assert blocks.doubtful.float().mean() < 0.1
    two = {"tokens": long, "prompt": blocks.positions(blocks.kept), "doubtful": blocks.positions(blocks.doubtful)}
    write(
        "reread-tiny.json",
        {
            **provenance,
            "tokens": ids,
            "second": second,
            "prompt": PROMPT,
            "document": sequence(vocab, 200, 2),
            "attention": rounded(attention, 6),
            "budgets": budgets,
            "roots": rounded(roots, 5),
            "sharpened": rounded(sharpened, 5),
            "heads": own,
            "runs": [run],
            "blocks": {**two, "nll": losses(last[-1:], long, 2 * BLOCK)},
        },
    )


def rounded(x, digits):
    return [[[round(v, digits) for v in head] for head in layer] for layer in x.tolist()]
