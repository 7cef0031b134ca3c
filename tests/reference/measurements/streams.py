"""Long chats under eviction, in PyTorch: perplexity by position for policies, budgets and maps of age.

    python tests/reference/measurements/streams.py OUT.json --tokens 82000 winnow:256:fold streaming-llm:256:rank

Several runs go side by side over one text, POLICY:BUDGET:MAP[:FIRST] each: chapters of Moby Dick in order, from --chapter on.
Tokens go in chunks of 16, but each row sees what a token alone would see: scores are made anew before a chunk only, and no window
is shorter than a chunk, so the victims of a chunk are known when it begins. `winnow ppl` has the same losses but for f16
pages (SmolLM2, 1,400 tokens, budget 64: means 0.0005 nats apart). Policies: winnow, q-filters, k-norm, keydiff, random, streaming-llm;
winnow*0 has head budgets by what is lost of the next tokens alone, winnow*10 weighs second readings ten times in place of three, winnow*inf
heeds them alone; winnow without its remainder, without budgets of heads, or without one of what its fit weighs (0 to 6) is winnow/-rest,
winnow/-heads, winnow/-2; another policy with the remainder is keydiff/+rest. Gemma 3 is known too: the budget is that of its layers without a window. With --uncompressed nothing is dropped, and the runs are left out. With --kl the uncompressed run goes along, and what is written holds, for
each run and bin and for all positions, the mean and the 99th percentile of KL(uncompressed || run) of the next token, and the perplexity of the uncompressed run.

Maps of age:
  true   keys stand where they were written
  fold   where a chat reaches --trained, positions are folded (src/kernels/pages/fold.ts)
  rank   each head closes its gaps: StreamingLLM's own positions
  far    a key older than half of --trained is seen at that distance (InfLLM's)

FIRST: so many first tokens stay, as far as they fit into a quarter of what the window leaves of a head; 4 always do.

--fade N: the remainder stands for the latest N dropped pairs. OMP_NUM_THREADS=1 is faster where others compute too.
"""

import argparse
import json
import math
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "oracles"))
from gemma_streams import GemmaModel
from oracle_model import load, load_tokenizer
from oracle_policies import REMAINDER_BIAS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
MOBY = os.path.join(ROOT, "node_modules", "@stdlib", "datasets-moby-dick", "data")
CHUNK, WINDOW, SINKS = 16, 24, 4
REREAD_WEIGHT = 3
AHEAD = [2**i for i in range(10)]


def text_of(tokenizer, count, chapter):
    """The first `count` tokens from a chapter on."""
    chapters = [open(os.path.join(MOBY, f"chapter_{c}.txt"), encoding="utf-8").read().strip() for c in range(chapter, 136)]
    return tokenizer("\n\n".join(chapters)[: count * 6])["input_ids"][:count]


def head_budgets(losses, budgets, budget):
    """[L, G], as src/cache/sequence/head-budgets.ts divides a mean budget; losses [L, G, n]"""
    L, G, _ = losses.shape
    floor = 32 * math.ceil(max(32, WINDOW + SINKS + 1) / 32)
    most = min(32 * (8 * budget // 32), budgets[-1])
    out = torch.full((L, G), budget)
    if floor >= budget or budget >= most:
        return out
    stretches = []
    slope = lambda a, b: (b[1] - a[1]) / (b[0] - a[0])
    for l in range(L):
        for g in range(G):
            hull = []
            for point in zip(budgets, losses[l, g].square().tolist()):
                while len(hull) > 1 and slope(hull[-2], hull[-1]) >= slope(hull[-1], point):
                    hull.pop()
                hull.append(point)
            for a, b in zip(hull, hull[1:]):
                pairs = min(b[0], most) - max(a[0], floor)
                if pairs > 0:
                    stretches.append((-slope(a, b), l, g, pairs))
    out[:] = floor
    left = (budget - floor) * L * G
    for _, l, g, pairs in sorted(stretches, key=lambda s: -s[0]):
        out[l, g] += min(pairs, left)
        left -= min(pairs, left)
    return out


def parts_of(policy):
    """'winnow*3/-rest/-2' -> ('winnow*3', {'-rest', '-2'})"""
    name, *marks = policy.split("/")
    return name, set(marks)


def remembers(policy):
    name, marks = parts_of(policy)
    return "+rest" in marks or name.startswith("winnow") and "-rest" not in marks


def moduli(x):
    a, b = x.chunk(2, -1)
    return (a * a + b * b).sqrt()


class Calibration:
    def __init__(self, path):
        file = safe_open(path, "pt")
        for name in file.keys():
            setattr(self, name, file.get_tensor(name))
        pairs = lambda name: [int(x) for x in file.metadata()[name].split()]
        self.budgets = pairs("head_loss_budgets")
        if hasattr(self, "reread_loss"):
            self.reread_budgets = pairs("reread_loss_budgets")

    def capacities(self, policy, budget):
        """Pairs of each head [L, G], as src/cache/sequence/head-budgets.ts divides them."""
        name, marks = parts_of(policy)
        L, G = self.q_filters.shape[:2]
        if not name.startswith("winnow") or "-heads" in marks:
            return torch.full((L, G), budget)
        _, _, weight = name.partition("*")
        if not hasattr(self, "reread_loss"):
            return head_budgets(self.head_loss, self.budgets, budget)
        weight = float(weight or REREAD_WEIGHT)
        scale = 8 * budget / 32 / self.reread_budgets[-1]
        scaled = [32 * math.floor(scale * pairs + 0.5) for pairs in self.reread_budgets]
        pairs = range(32, 8 * budget + 1, 32)
        reread = shares(self.reread_loss, scaled, pairs, budget)
        if weight == 0:
            return head_budgets(self.head_loss, self.budgets, budget)
        if weight == math.inf:
            return head_budgets(reread.sqrt(), pairs, budget)
        return head_budgets((shares(self.head_loss, self.budgets, pairs, budget) + weight * reread).sqrt(), pairs, budget)


def shares(losses, budgets, pairs, mean):
    """Squared losses [L, G, n] at each of `pairs`, as shares of what all heads lose with the mean."""
    square = lambda at: np.stack([np.interp(at, *zip(*dict(zip(budgets, y)).items())) for y in losses.double().square().flatten(0, 1).tolist()])
    return torch.tensor(square(list(pairs)) / square([mean]).sum()).view(*losses.shape[:2], -1)


class Model:
    """Llama without positions: `attend` is given queries and keys before RoPE. Matrices in bf16, sums in f32."""

    def __init__(self, model):
        c = model.config
        self.L, self.H, self.G = c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads
        self.D = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
        self.eps = c.rms_norm_eps
        low = lambda *w: torch.cat([x.weight for x in w]).detach().bfloat16()
        self.embedding = model.model.embed_tokens.weight.detach()
        self.head, self.norm = low(model.lm_head), model.model.norm.weight.detach()
        self.layers = []
        for layer in model.model.layers:
            a, m = layer.self_attn, layer.mlp
            norms = [x.weight.detach() for x in (layer.input_layernorm, layer.post_attention_layernorm)]
            self.layers.append((*norms, low(a.q_proj, a.k_proj, a.v_proj), low(a.o_proj), low(m.gate_proj, m.up_proj), low(m.down_proj)))
        theta = c.rope_parameters["rope_theta"]
        self.frequencies = 1.0 / theta ** (torch.arange(0, self.D, 2, dtype=torch.float64) / self.D)

    def turn(self, x, by):
        return turn(x, by, self.frequencies)

    def reader(self):
        return self

    def hidden(self, ids, attend):
        """ids [B, M] -> [B, M, E]; attend(layer, q [B,H,M,D], k [B,G,M,D], v) -> [B,H,M,D]"""
        B, M = ids.shape
        linear = self.linear
        rms = lambda x, w: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * w
        x = self.embedding[ids]
        for i, (first, second, qkv, o, up, down) in enumerate(self.layers):
            h = linear(rms(x, first), qkv).view(B, M, self.H + 2 * self.G, self.D).transpose(1, 2)
            out = attend(i, *h.split([self.H, self.G, self.G], 1))
            x = x + linear(out.transpose(1, 2).reshape(B, M, -1), o)
            gate, value = linear(rms(x, second), up).chunk(2, -1)
            x = x + linear(F.silu(gate) * value, down)
        return rms(x, self.norm)

    def linear(self, x, w):
        return (x.bfloat16() @ w.T).float()

    def logp(self, hidden):
        return self.linear(hidden, self.head).log_softmax(-1)


def turn(x, by, frequencies):
    """x [..., D] turned by `by` [...] positions"""
    angle = by[..., None].double() * frequencies
    cos, sin = angle.cos().float(), angle.sin().float()
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def model_of(path):
    model = load(path)
    return GemmaModel(model, turn) if model.config.model_type.startswith("gemma3") else Model(model)


class Layer:
    """One layer's caches, a run each: K, V [B, G, C, D], positions in the text P (-1: free), where keys stand E, scores S."""

    def __init__(self, B, G, D, capacity):
        self.capacity, C = capacity, int(capacity.max())
        self.K, self.V = torch.zeros(B, G, C, D), torch.zeros(B, G, C, D)
        self.P = torch.full((B, G, C), -1)
        self.E, self.far = torch.zeros_like(self.P), torch.zeros(B, G, C, dtype=torch.bool)
        self.S, self.fixed, self.length = torch.zeros(B, G, C), torch.zeros(B, G, C), torch.ones(B, G, C)
        # What heads have dropped: n, keys, values.
        self.n, self.k, self.v = torch.zeros(B, G), torch.zeros(B, G, D), torch.zeros(B, G, D)


class Stream:
    def __init__(self, model, known, runs, trained, fade):
        self.model, self.known, self.runs, self.fade = model, known, runs, fade
        self.trained, self.stride, self.half = trained, 3 * trained // 8, trained // 2
        B, L, G = len(runs), model.L, model.G
        capacity = torch.zeros(L, B, G, dtype=torch.long)
        for b, (policy, budget, *_) in enumerate(runs):
            capacity[:, b] = known.capacities(policy, budget)
        self.layers = [Layer(B, G, model.D, capacity[l]) for l in range(L)]
        self.remembers = torch.tensor([remembers(policy) for policy, *_ in runs])[:, None, None]
        first = torch.tensor([run[3] if len(run) > 3 else SINKS for run in runs])[:, None]
        # [L, B, G, 1]
        self.stays = torch.minimum(first, (capacity - WINDOW) // 4).clamp(min=SINKS)[..., None]
        self.reader, self.seen = model.reader(), 0
        self.next = torch.zeros(B, dtype=torch.long)  # where the next token stands
        # The expected queries of the next tokens, to be turned to the present.
        offsets = torch.tensor(AHEAD)[:, None] * model.frequencies
        re, im = offsets.cos().mean(0), offsets.sin().mean(0)
        a, b = known.q_mean.double().chunk(2, -1)
        self.expected = torch.cat([a * re - b * im, a * im + b * re], -1).float()
        self.unexplained = known.q_abs - moduli(known.q_mean).mean(2)

    def weights(self, l):
        """What each run's fit weighs [B, G, 1, 8]."""
        w = self.known.score_fit[l][None, :, None].repeat(len(self.runs), 1, 1, 1)
        for b, (policy, *_) in enumerate(self.runs):
            for mark in parts_of(policy)[1]:
                if mark[1:].isdigit():
                    w[b, ..., int(mark[1:])] = 0
        return w

    def fixed(self, l, K, V, w):
        """What of winnow's score does not change while a key stands still."""
        pairs = (moduli(K) * self.unexplained[l][:, None]).sum(-1) / math.sqrt(self.model.D)
        dots = (K * self.known.q_filters[l][:, None]).sum(-1)
        return w[..., 1] * pairs + w[..., 2] * V.norm(dim=-1).clamp(min=1e-9).log() + w[..., 5] * dots + w[..., 6] * K.norm(dim=-1)

    def score(self, l):
        y, weights, root = self.layers[l], self.weights(l), math.sqrt(self.model.D)
        valid = y.P >= 0
        inverse = valid / y.length
        anchor = F.normalize((inverse[..., None, :] @ y.K)[..., 0, :], dim=-1)
        like = (y.K @ anchor[..., None])[..., 0] * inverse
        age = (self.seen - y.P).clamp(min=1).float().log()
        for b, (policy, _, map_, *_) in enumerate(self.runs):
            policy, w = parts_of(policy)[0], weights[b]
            if policy.startswith("winnow"):
                turned = lambda by: self.model.turn(self.expected[l], torch.full(self.expected[l].shape[:-1], by))
                logits = y.K[b] @ turned(int(self.next[b]) - 1).transpose(-1, -2) / root
                if map_ == "far":
                    far = y.K[b] @ turned(self.half).transpose(-1, -2) / root
                    logits = torch.where(y.far[b][..., None], far, logits)
                y.S[b] = w[..., 0] * logits.logsumexp(-1) + w[..., 3] * age[b] + w[..., 4] * like[b] + y.fixed[b]
            elif policy == "streaming-llm":
                y.S[b] = y.P[b].float()
            elif policy == "q-filters":
                y.S[b] = -(y.K[b] * self.known.q_filters[l][:, None]).sum(-1)
            elif policy == "k-norm":
                y.S[b] = -y.length[b]
            elif policy == "keydiff":
                y.S[b] = -like[b]
            else:
                y.S[b] = ((y.P[b] * 2654435761) % 2**32 * 40503 % 2**16).float()

    def move(self, b, y, l, to):
        """Turns what is cached to where it shall stand."""
        by = torch.where(y.P[b] >= 0, to - y.E[b], 0)
        if by.any():
            y.K[b], y.E[b] = self.model.turn(y.K[b], by), y.E[b] + by
            y.fixed[b] = self.fixed(l, y.K[b], y.V[b], self.weights(l)[b])

    def remap(self):
        for b, (_, _, map_, *_) in enumerate(self.runs):
            folds = map_ == "fold" and self.next[b] + CHUNK > self.trained
            if folds:
                self.next[b] -= self.stride
            for l, y in enumerate(self.layers):
                if folds:
                    self.move(b, y, l, torch.where(y.E[b] < 2 * self.stride, y.E[b] // 2, y.E[b] - self.stride))
                    y.k[b] = self.model.turn(y.k[b], torch.full(y.n[b].shape, -self.stride))
                elif map_ == "rank":
                    rank = torch.where(y.P[b] >= 0, y.P[b], -1).argsort(-1).argsort(-1)
                    self.move(b, y, l, self.next[b] - y.P.shape[-1] + rank)
                elif map_ == "far":
                    go = (self.next[b] - y.E[b] > self.half) & ~y.far[b] & (y.P[b] >= 0)
                    y.K[b][go] = self.model.turn(y.K[b][go], -y.E[b][go])
                    y.far[b] |= go
                if self.fade:
                    left = (self.fade / y.n[b].clamp(min=1)).clamp(max=1)
                    y.n[b], y.k[b], y.v[b] = y.n[b] * left, y.k[b] * left[:, None], y.v[b] * left[:, None]

    def victims(self, y, stays, M):
        """Slots [B, G, M] that the rows take, whose of these hold a pair that goes, and from which row on a slot's is gone [B, G, C]."""
        B, G, C = y.P.shape
        rows, valid = torch.arange(M), y.P >= 0
        gone = torch.full((B, G, C), M)
        slots, evicts = torch.zeros(B, G, M, dtype=torch.long), torch.zeros(B, G, M, dtype=torch.bool)
        count = valid.sum(-1)
        if (count + M <= y.capacity).all():
            return count[..., None] + rows, evicts, gone
        scores = y.S.masked_fill(~(valid & (y.P >= stays)), math.inf)
        taken = valid | (torch.arange(C) >= y.capacity[..., None])
        for i in range(M):
            full = count >= y.capacity
            lowest = scores.masked_fill(y.P > self.seen + i - WINDOW, math.inf).argmin(-1)
            at = torch.where(full, lowest, (~taken).int().argmax(-1))
            slots[..., i], evicts[..., i] = at, full
            gone.scatter_(-1, at[..., None], torch.where(full, i, M)[..., None])
            scores.scatter_(-1, at[..., None], math.inf)
            taken.scatter_(-1, at[..., None], True)
            count = count + ~full
        return slots, evicts, gone

    @torch.no_grad()
    def step(self, ids):
        """ids [M] -> hidden [B, M, E]"""
        model, B, M = self.model, len(self.runs), len(ids)
        G, D, r, root = model.G, model.D, model.H // model.G, math.sqrt(model.D)
        self.remap()
        rows = torch.arange(M)
        standing = self.next[:, None, None] + rows
        causal = rows[:, None] >= rows

        def attend(l, q, k, v):
            y = self.layers[l]
            C = y.P.shape[-1]
            self.score(l)
            valid = y.P >= 0
            slots, evicts, gone = self.victims(y, self.stays[l], M)
            sees = valid[:, :, None] & (rows[:, None] < gone[:, :, None])
            turned, k = model.turn(q, standing.expand(B, model.H, M)), model.turn(k, standing.expand(B, G, M))
            queries = turned.reshape(B, G, r * M, D)
            past = queries @ y.K.transpose(-1, -2) / root
            for b, (_, _, map_, *_) in enumerate(self.runs):
                if map_ == "far":
                    far = model.turn(q[b], torch.full((model.H, M), self.half)).reshape(G, r * M, D)
                    past[b] = torch.where(y.far[b][:, None], far @ y.K[b].transpose(-1, -2) / root, past[b])
            past = past.view(B, G, r, M, C).masked_fill(~sees[:, :, None], -math.inf)
            own = (queries @ k.transpose(-1, -2) / root).view(B, G, r, M, M).masked_fill(~causal, -math.inf)
            # What heads have dropped, up to each row's own victim.
            index = slots[..., None].expand(B, G, M, D)
            keys, values = y.K.gather(2, index) * evicts[..., None], y.V.gather(2, index) * evicts[..., None]
            n = y.n[..., None] + evicts.cumsum(-1)
            mean = lambda sums, more: (sums[:, :, None] + more.cumsum(2)) / n.clamp(min=1)[..., None]
            rest = (turned.view(B, G, r, M, D) * mean(y.k, keys)[:, :, None]).sum(-1) / root
            rest = rest + (n.clamp(min=1).log() + REMAINDER_BIAS)[:, :, None]
            rest = rest.masked_fill(((n == 0) | ~self.remembers)[:, :, None], -math.inf)
            p = torch.cat([past, own, rest[..., None]], -1).softmax(-1)
            out = p[..., :C].reshape(B, G, r * M, C) @ y.V + p[..., C : C + M].reshape(B, G, r * M, M) @ v
            out = out.view(B, G, r, M, D) + p[..., -1:] * mean(y.v, values)[:, :, None]
            y.n, y.k, y.v = y.n + evicts.sum(-1), y.k + keys.sum(2), y.v + values.sum(2)
            y.K.scatter_(2, index, k), y.V.scatter_(2, index, v)
            y.P.scatter_(-1, slots, (self.seen + rows).expand(B, G, M)), y.E.scatter_(-1, slots, standing.expand(B, G, M))
            y.fixed.scatter_(-1, slots, self.fixed(l, k, v, self.weights(l))), y.length.scatter_(-1, slots, k.norm(dim=-1))
            y.far.scatter_(-1, slots, False)
            return out.reshape(B, model.H, M, D)

        hidden = self.reader.hidden(ids.expand(B, M), attend)
        self.seen, self.next = self.seen + M, self.next + M
        return hidden


ROWS = 512


@torch.no_grad()
def uncompressed(model, ids):
    """Yields log-probabilities [ROWS, V] of the next tokens with every key and value."""
    past, reader = {}, model.reader()
    for start in range(0, len(ids) - 1, ROWS):
        part = ids[start : min(start + ROWS, len(ids) - 1)]
        at = torch.arange(start, start + len(part))

        def attend(l, q, k, v):
            k = model.turn(k, at.expand(1, model.G, -1))
            past[l] = [torch.cat([*old, new], 2) for old, new in zip(([x] for x in past[l]), (k, v))] if l in past else [k, v]
            k, v = (x.repeat_interleave(model.H // model.G, 1) for x in past[l])
            mask = torch.arange(k.shape[2]) <= at[:, None]
            return F.scaled_dot_product_attention(model.turn(q, at.expand(1, model.H, -1)), k, v, attn_mask=mask)

        yield model.logp(reader.hidden(part[None], attend)[0])


def losses(logp, targets):
    """[..., M, V], [M] -> [..., M]"""
    return -logp[..., torch.arange(len(targets)), targets]


def by_bin(values, size, figure):
    """[..., T] -> lists [..., bins] of a figure of each bin."""
    return rounded(torch.stack([figure(x) for x in values.split(size, -1)], -1))


def rounded(x):
    return [rounded(row) for row in x] if x.dim() > 1 else [round(v, 5) for v in x.tolist()]


perplexity = lambda x: x.mean(-1).exp()
mean = lambda x: x.mean(-1)
p99 = lambda x: x.quantile(0.99, dim=-1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("runs", nargs="*", help="POLICY:BUDGET:MAP[:FIRST]")
    parser.add_argument("--uncompressed", action="store_true")
    parser.add_argument("--kl", action="store_true")
    parser.add_argument("--model", default=os.path.join(ROOT, ".cache", "models", "SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--filters", default=os.path.join(ROOT, "public", "filters", "smollm2-135m-instruct.safetensors"))
    parser.add_argument("--tokens", type=int, default=6144)
    parser.add_argument("--chapter", type=int, default=1)
    parser.add_argument("--bin", type=int, default=1024)
    parser.add_argument("--trained", type=int, default=8192)
    parser.add_argument("--every", type=int, default=1, help="of so many chunks one is counted")
    parser.add_argument("--fade", type=int, default=512)
    args = parser.parse_intermixed_args()
    parts = (run.split(":") for run in args.runs)
    runs = [(policy, int(budget), map_, *map(int, first)) for policy, budget, map_, *first in parts]
    ids = torch.tensor(text_of(load_tokenizer(args.model), args.tokens + 1, args.chapter))
    model = model_of(args.model)
    reference = uncompressed(model, ids)
    if args.uncompressed:
        nll = torch.cat([losses(logp, ids[1 + i * ROWS :][: len(logp)]) for i, logp in enumerate(reference)])
        found = {"runs": ["uncompressed"], "perplexity": [by_bin(nll, args.bin, perplexity)]}
        print(*found["perplexity"][0])
        write(args, found)
        return
    stream = Stream(model, Calibration(args.filters), runs, args.trained, args.fade)
    nll, free, kl, started = [], [], [], time.time()
    for i in range(0, len(ids) - 1, CHUNK):
        targets = ids[i + 1 : i + 1 + CHUNK]
        hidden = stream.step(ids[i : i + CHUNK])[:, : len(targets)]
        if args.kl and i % ROWS == 0:
            block = next(reference)
        if i // CHUNK % args.every == 0:
            logp = model.logp(hidden)
            nll.append(losses(logp, targets))
        if args.kl and i // CHUNK % args.every == 0:
            full = block[i % ROWS :][: len(targets)]
            free.append(losses(full, targets))
            kl.append((full.exp() * (full - logp)).sum(-1))
        done = i + len(targets)
        if done % args.bin == 0 or done == len(ids) - 1:
            size = args.bin // args.every
            found = {"runs": args.runs, "perplexity": by_bin(torch.cat(nll, 1), size, perplexity), "loss": rounded(torch.cat(nll, 1).mean(-1)[None])[0]}
            if args.kl:
                every = torch.cat(kl, 1)
                found |= {"uncompressed": by_bin(torch.cat(free), size, perplexity), "uncompressed loss": torch.cat(free).mean().item()}
                for size, where in ((size, ""), (done, " of all")):
                    found |= {f"kl{where}": by_bin(every, size, mean), f"kl p99{where}": by_bin(every, size, p99)}
            print(done, f"{time.time() - started:.0f} s", *(f"{bins[-1]:.2f}" for bins in found["perplexity"]), flush=True)
            write(args, found)


def write(args, found):
    with open(args.out, "w", encoding="utf-8") as f:
        json.dump({"bin": args.bin, **found}, f)


if __name__ == "__main__":
    main()
