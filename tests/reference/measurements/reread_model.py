"""The model of reread.py: documents that are read in full, their second reading, and answers from what is kept of them.

A document's keys and values are those of a reading in which nothing is dropped, as the engine reads a prompt block, so one copy serves all arms,
which differ in what they mask. Scores and victims are those of `winnow` (src/cache/policies), written for many heads at once.
"""

import math

import torch
import torch.nn.functional as F

from streams import AHEAD, REMAINDER_BIAS, SINKS, WINDOW, moduli

ROWS, FADE, EVERY, END = 256, 512, 16, 2


def run(model, ids, attend, last=1):
    """ids [B, M] -> logits of the last rows [B, last, V]; attend(layer, q, k, v, |x| [B, M])"""
    B, M = ids.shape
    linear = lambda x, w: (x.bfloat16() @ w.T).float()
    rms = lambda x, w: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + model.eps) * w
    x = model.embedding[ids]
    for i, (first, second, qkv, o, up, down) in enumerate(model.layers):
        h = linear(rms(x, first), qkv).view(B, M, model.H + 2 * model.G, model.D).transpose(1, 2)
        out = attend(i, *h.split([model.H, model.G, model.G], 1), x.norm(dim=-1))
        x = x + linear(out.transpose(1, 2).reshape(B, M, -1), o)
        gate, value = linear(rms(x, second), up).chunk(2, -1)
        x = x + linear(F.silu(gate) * value, down)
    return linear(rms(x[:, M - last :], model.norm), model.head)


@torch.no_grad()
def read(model, ids):
    """K, V [L, G, N, D], keys turned; what the last 32 rows see, and the most that the document's own rows see, [L, G, N]."""
    N, G, r, root = len(ids), model.G, model.H // model.G, math.sqrt(model.D)
    at, kept = torch.arange(N), {name: [] for name in ("K", "V", "last", "own")}

    def attend(l, q, k, v, _):
        q, k, v = model.turn(q, at.expand(1, model.H, -1))[0], model.turn(k, at.expand(1, G, -1))[0], v[0]
        out, own = [], torch.zeros(G, N)
        weights = lambda rows: (q[:, rows].reshape(G, -1, model.D) @ k.transpose(-1, -2) / root).view(G, r, len(rows), N).masked_fill(at > rows[:, None], -math.inf).softmax(-1)
        for rows in at.split(ROWS):
            p = weights(rows)
            out.append((p.reshape(G, -1, N) @ v).view(model.H, len(rows), -1))
            own = torch.maximum(own, p.masked_fill(at > rows[:, None] - WINDOW, 0).amax((1, 2)))
        for name, x in zip(kept, (k, v, weights(at[-32:]).mean(2).amax(1), own)):
            kept[name].append(x)
        return torch.cat(out, 1)[None]

    run(model, ids[None], attend)
    return {name: torch.stack(x) for name, x in kept.items()}


@torch.no_grad()
def replay(model, doc, ids):
    """What rows behind a document pay to its pairs, the most over rows and the group's heads [L, G, N]: attention, output error."""
    N, M, G, r = doc["K"].shape[2], len(ids), model.G, model.H // model.G
    rows, found = torch.arange(M), {"replay": [], "error": []}

    def attend(l, q, k, v, length):
        turn = lambda x, n: model.turn(x, (N + rows).expand(1, n, -1))[0]
        q, k, v = turn(q, model.H), torch.cat([doc["K"][l], turn(k, G)], 1), torch.cat([doc["V"][l], v[0]], 1)
        o = model.layers[l][3].float().view(-1, model.H, model.D)
        weigh = torch.linalg.cholesky(torch.einsum("ehd,ehf->hdf", o, o) + 1e-6 * torch.eye(model.D)).transpose(-1, -2)
        values = torch.einsum("hed,hnd->hne", weigh, doc["V"][l].repeat_interleave(r, 0))
        out, most = [], {name: torch.zeros(G, N) for name in found}
        for part in rows.split(ROWS):
            p = (q[:, part].reshape(G, -1, model.D) @ k.transpose(-1, -2) / math.sqrt(model.D)).view(G, r, len(part), -1)
            p[..., N:] = p[..., N:].masked_fill(rows > part[:, None], -math.inf)
            p = p.softmax(-1)
            out.append((p.reshape(G, r * len(part), -1) @ v).view(model.H, len(part), -1))
            p = p[..., :N].reshape(model.H, len(part), N)
            far = torch.cdist(torch.einsum("hed,hmd->hme", weigh, out[-1]), values)
            error = far * p / (1 - p).clamp(min=1e-3) / length[0, part, None]
            for name, x in (("replay", p), ("error", error)):
                most[name] = torch.maximum(most[name], x.view(G, r, -1, N).amax((1, 2)))
        for name in found:
            found[name].append(most[name])
        return torch.cat(out, 1)[None]

    run(model, ids[None], attend)
    return {name: torch.stack(x) for name, x in found.items()}


def z(x, valid):
    n = valid.sum(-1, keepdim=True)
    mean = (x * valid).sum(-1, keepdim=True) / n
    return (x - mean) / ((x - mean).square() * valid).sum(-1, keepdim=True).div(n).sqrt()


def strayed(x, valid):
    """x [..., T, D] -> [..., T]: root mean square over the channels of the distance from the mean, in deviations"""
    w = valid[..., None]
    n = w.sum(-2, keepdim=True)
    mean = (x * w).sum(-2, keepdim=True) / n
    return ((x - mean).square() / (((x - mean).square() * w).sum(-2, keepdim=True) / n)).mean(-1).sqrt()


class Scores:
    """Winnow's scores of a layer's pairs: k, v [..., G, T, D], of which those of `valid` [..., G, T] are there; at [T]."""

    def __init__(self, model, known):
        self.model, self.known = model, known
        offsets = torch.tensor(AHEAD)[:, None] * model.frequencies
        re, im = offsets.cos().mean(0), offsets.sin().mean(0)
        a, b = known.q_mean.double().chunk(2, -1)
        self.expected = torch.cat([a * re - b * im, a * im + b * re], -1).float()
        self.unexplained = known.q_abs - moduli(known.q_mean).mean(2)

    def fit(self, l, k, v, at, last, valid):
        w, root = self.known.score_fit[l][:, None], math.sqrt(self.model.D)
        queries = self.model.turn(self.expected[l], torch.full(self.expected[l].shape[:-1], last))
        length = k.norm(dim=-1).clamp(min=1e-9)
        unit = k / length[..., None]
        anchor = F.normalize((unit * valid[..., None]).sum(-2), dim=-1)
        return (
            w[..., 0] * (k @ queries.transpose(-1, -2) / root).logsumexp(-1)
            + w[..., 1] * (moduli(k) * self.unexplained[l][:, None]).sum(-1) / root
            + w[..., 2] * v.norm(dim=-1).clamp(min=1e-9).log()
            + w[..., 3] * (last - at + 1).clamp(min=1).float().log()
            + w[..., 4] * (unit @ anchor[..., None])[..., 0]
            + w[..., 5] * (k * self.known.q_filters[l][:, None]).sum(-1)
            + w[..., 6] * length
        )

    def prompt(self, l, k, v, at, last, seen, valid, cached):
        """Pairs before `cached` are earlier ones; seen [..., G, T]: the mean attention of the last 32 rows."""
        plain = self.model.turn(k, -at.expand(k.shape[:-1]))
        unit = F.normalize(plain, dim=-1)
        anchor = F.normalize((unit * valid[..., None]).sum(-2), dim=-1)
        novelty = -(unit @ anchor[..., None])[..., 0]
        s = z(self.fit(l, k, v, at, last, valid), valid) + 2 * z(novelty, valid) + z(strayed(plain, valid), valid) + z(strayed(v, valid), valid)

        def pooled(x, size):
            rows = F.max_pool1d(x[..., cached:].reshape(-1, 1, x.shape[-1] - cached), size, stride=1, padding=size // 2)
            return torch.cat([x[..., :cached], rows.view(*x.shape[:-1], -1)], -1)

        return z(pooled(s, 9), valid) + 0.25 * z((pooled(seen, 21) + 1e-6).log(), valid)


class Answering:
    """Arms side by side behind one document: (what is kept [L, G, N], whether the rest is remembered, whether pairs are dropped) each."""

    def __init__(self, model, scores, doc, arms, room):
        self.model, self.scores, self.doc = model, scores, doc
        self.masks = torch.stack([mask for mask, _, _ in arms])
        self.remembers = torch.tensor([rest for _, rest, _ in arms])[:, None]
        self.evicts = torch.tensor([evicts for *_, evicts in arms])[:, None]
        B, L, G, N = self.masks.shape
        self.N, self.seen, self.at = N, N, torch.arange(N + room)
        self.capacity = self.masks.sum(-1)
        self.keep = F.pad(self.masks, (0, room))
        self.K, self.V = torch.zeros(2, L, B, G, room, model.D)
        self.S = torch.zeros(L, B, G, N + room)
        self.sums = [self.dropped(l) for l in range(L)]

    def dropped(self, l):
        gone = (~self.masks[:, l]).float()
        n = gone.sum(-1)
        left = (FADE / n.clamp(min=1)).clamp(max=1)
        total = lambda x: torch.einsum("bgn,gnd->bgd", gone, x) * left[..., None]
        return [n * left, total(self.doc["K"][l]), total(self.doc["V"][l])]

    def pairs(self, l):
        both = lambda doc, tail: torch.cat([doc[l].expand(len(self.masks), -1, -1, -1), tail[l]], 2)
        return both(self.doc["K"], self.K), both(self.doc["V"], self.V)

    def evict(self, l, end):
        """Down to capacity: the lowest of S go into the remainder."""
        kept = self.keep[:, l]
        excess = (kept.sum(-1) - self.capacity[:, l]) * self.evicts
        if not (excess > 0).any():
            return
        order = self.S[l].masked_fill(~kept | (self.at < SINKS) | (self.at >= end - WINDOW), math.inf).argsort(-1)
        keys, values = self.pairs(l)
        n, k, v = self.sums[l]
        for j in range(int(excess.max())):
            b, g = torch.nonzero(excess > j, as_tuple=True)
            i = order[b, g, j]
            self.keep[b, l, g, i] = False
            n[b, g] += 1
            k[b, g] += keys[b, g, i]
            v[b, g] += values[b, g, i]
            left = (FADE / n.clamp(min=1)).clamp(max=1)
            n *= left
            k *= left[..., None]
            v *= left[..., None]

    def attend(self, l, q, k, v, _):
        model, N, (B, _, M, D), G = self.model, self.N, q.shape, self.model.G
        rows, end, r = torch.arange(self.seen, self.seen + M), self.seen + M, model.H // G
        q, k = model.turn(q, rows.expand(B, model.H, M)), model.turn(k, rows.expand(B, G, M))
        if M == 1 and self.seen % EVERY == 0 and self.evicts.any():
            self.S[l] = self.scores.fit(l, *self.pairs(l), self.at, self.seen - 1, self.keep[:, l])
        self.K[l][:, :, self.seen - N : end - N], self.V[l][:, :, self.seen - N : end - N] = k, v
        self.keep[:, l, :, self.seen : end] = True
        if M == 1:
            self.evict(l, end)
        queries, doc = q.reshape(B, G, r * M, D), self.doc
        keys, values = self.K[l][:, :, : end - N], self.V[l][:, :, : end - N]
        logits = torch.cat([queries @ doc["K"][l].transpose(-1, -2), queries @ keys.transpose(-1, -2)], -1) / math.sqrt(D)
        sees = self.keep[:, l, :, None, :end] & (self.at[:end] <= rows[:, None])
        logits = logits.view(B, G, r, M, end).masked_fill(~sees[:, :, None], -math.inf)
        n, ks, vs = self.sums[l]
        mean = lambda x: (x / n.clamp(min=1)[..., None])[:, :, None, None]
        rest = (q.view(B, G, r, M, D) * mean(ks)).sum(-1) / math.sqrt(D) + (n.clamp(min=1).log() + REMAINDER_BIAS)[..., None, None]
        rest = rest.masked_fill(((n == 0) | ~self.remembers)[..., None, None], -math.inf)
        p = torch.cat([logits, rest[..., None]], -1).softmax(-1)
        flat = p.view(B, G, r * M, -1)
        out = (flat[..., :N] @ doc["V"][l] + flat[..., N:end] @ values).view(B, G, r, M, D) + p[..., -1:] * mean(vs)
        if M > 1 and self.evicts.any():
            seen = F.pad(p[..., -32:, :end].mean(3).amax(2), (0, len(self.at) - end))
            self.S[l] = self.scores.prompt(l, *self.pairs(l), self.at, end - 1, seen, self.keep[:, l], N)
            self.evict(l, end)
        return out.reshape(B, model.H, M, D)

    def step(self, ids, last=1):
        logits = run(self.model, ids, self.attend, last)
        self.seen += ids.shape[1]
        return logits


@torch.no_grad()
def say(model, doc, arms, prompt, forced):
    """Logits [B, len(forced), V] of a given answer"""
    ids = torch.tensor(prompt["parts"][1] + forced[:-1])
    return Answering(model, None, doc, arms, len(ids)).step(ids.expand(len(arms), -1), len(forced))


@torch.no_grad()
def answer(model, scores, doc, arms, prompt, enough):
    """Each arm's greedy answer as ids, until it ends or is `enough`."""
    question, most = torch.tensor(prompt["parts"][1]), prompt["answerTokens"]
    answering = Answering(model, scores, doc, arms, len(question) + most)
    logits = answering.step(question.expand(len(arms), -1))[:, -1]
    ids, ended = [[] for _ in arms], [False] * len(arms)
    for _ in range(most):
        token = logits.argmax(-1)
        for b, t in enumerate(token.tolist()):
            ended[b] |= t == END
            if not ended[b]:
                ids[b].append(t)
        if all(e or enough(x) for e, x in zip(ended, ids)) or len(max(ids, key=len)) == most:
            break
        logits = answering.step(token[:, None])[:, -1]
    return ids
