"""statistics.json and statistics.bin: what calibration learns of a kv head, by PyTorch in float64.

Queries before RoPE, keys, values and an output matrix are random with structure; PyTorch turns the queries, attends,
fits the Poisson models by L-BFGS over autograd's gradient, keeps the best pairs by topk, and multiplies by the output
matrix itself.
"""

import json
import os

import torch

H, G, D, E = 4, 2, 8, 12
TOKENS = [420, 300]
BUDGETS = [32, 64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 1024]
SINKS, WINDOW, YOUNGEST = 4, 32, 16
HORIZON, RIDGE, LOSS_TIMES = 192, 1e-3, 24
REMAINDER_BIAS = 0.6
OFFSETS = [2**i for i in range(10)]
FREQUENCIES = 10000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)


def turn(x, positions, sign=1.0):
    """x [N, heads, D] half-split, positions [N]."""
    angle = sign * positions.double()[:, None, None] * FREQUENCIES
    a, b = x[..., : D // 2], x[..., D // 2 :]
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def query_statistics(queries, positions, kv_head):
    """Post-RoPE queries [N, H, D] -> means [r, D], abs [D/2], covariance [D, D] of the pre-RoPE ones of one group."""
    group = H // G
    x = turn(queries.double(), positions, -1.0)[:, kv_head * group : (kv_head + 1) * group]
    flat = x.reshape(-1, D)
    pairs = torch.complex(flat[:, : D // 2], flat[:, D // 2 :])
    return x.mean(0), pairs.abs().mean(0), torch.cov(flat.T, correction=0)


def attention(sequence, kv_head):
    """-> [N, T], the mean of the query group, zero where the key is in the future."""
    group = H // G
    q = sequence["queries"].double()[:, kv_head * group : (kv_head + 1) * group]
    k = sequence["keys"].double()[:, kv_head]
    scores = torch.einsum("nhd,td->nht", q, k) / D**0.5
    seen = torch.arange(k.shape[0]) <= sequence["positions"][:, None]
    return scores.masked_fill(~seen[:, None], float("-inf")).softmax(-1).mean(1)


def fit_poisson(y, x, ridge=0.0):
    """y [N], x [N, F] -> coefficients of 1 and x that maximise mean(y eta - exp(eta)) - ridge / 2 |coefficients|^2."""
    design = torch.cat([torch.ones(len(y), 1, dtype=torch.float64), x], dim=1)
    beta = torch.zeros(design.shape[1], dtype=torch.float64)
    beta[0] = y.mean().log()
    beta.requires_grad_()
    steps = torch.optim.LBFGS(
        [beta],
        max_iter=2000,
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def loss():
        steps.zero_grad()
        eta = design @ beta
        value = (eta.exp() - y * eta).mean() + ridge / 2 * beta.square().sum()
        value.backward()
        return value

    for _ in range(5):
        steps.step(loss)
    return beta.detach()


def fit_age(sequences, kv_head, filter):
    """-> a, b, mean, std"""
    raw = [-(s["keys"].double()[:, kv_head] @ filter.double()) for s in sequences]
    late = torch.cat([r[SINKS:] for r in raw])
    mean, std = late.mean(), late.std(correction=0)
    y, x = [], []
    for s, r in zip(sequences, raw):
        weights = attention(s, kv_head)
        for row, i in zip(weights, s["positions"].tolist()):
            j = torch.arange(SINKS, max(SINKS, i - YOUNGEST))
            y.append(row[j])
            x.append(torch.stack([(r[j] - mean) / std, (i - j + 1).double().log()], dim=1))
    _, a, b = fit_poisson(torch.cat(y), torch.cat(x)).tolist()
    return [a, b, mean.item(), std.item()]


def features(keys, values, t, means, lengths, filter):
    """keys, values [T, D] of one kv head, newest pair t -> [t + 1, 7]"""
    k, v = keys.double()[: t + 1], values.double()[: t + 1]
    ahead = torch.tensor([t + o for o in OFFSETS])
    turned = turn(means[None].expand(len(OFFSETS), -1, -1), ahead).mean(0)  # [r, D]
    tri = torch.logsumexp(k @ turned.T / D**0.5, dim=-1)
    pair = lambda x: torch.complex(x[..., : D // 2], x[..., D // 2 :]).abs()
    norm = pair(k) @ (lengths - pair(means).mean(0)) / D**0.5
    unit = torch.nn.functional.normalize(k, dim=-1)
    kd = torch.nn.functional.cosine_similarity(k, unit.mean(0, keepdim=True), dim=-1)
    age = torch.arange(t, -1, -1).double() + 1
    return torch.stack(
        [tri, norm, v.norm(dim=-1).log(), age.log(), kd, k @ filter.double(), k.norm(dim=-1)], dim=-1
    )


def fit_score(sequences, kv_head, means, lengths, filter):
    """-> weights [7] of the features as they are"""
    x, y = [], []
    for s in sequences:
        keys, values = s["keys"][:, kv_head], s["values"][:, kv_head]
        T, weights, i = len(keys), attention(s, kv_head), s["positions"]
        times = [t for t in range(192, 1089, 128) if t + HORIZON <= T] or [T // 2]
        for t in times:
            j = torch.arange(SINKS, t - YOUNGEST)
            seen = weights[(i > t) & (i <= t + HORIZON)]
            y.append(seen[:, j].mean(0) * values[j].double().norm(dim=-1))
            x.append(features(keys, values, t, means, lengths, filter)[j])
    x, y = torch.cat(x), torch.cat(y)
    mean, deviation = x.mean(0), x.std(0, correction=0)
    beta = fit_poisson(y / y.mean(), (x - mean) / deviation, RIDGE)
    return beta[1:] / deviation


def with_rest(queries, keys, values, chosen):
    """Attention [H, D] over the chosen pairs; the others attend as their mean, in as many pairs (and see REMAINDER_BIAS)"""
    queries, keys, values = queries.double(), keys.double(), values.double()
    logits = (queries @ keys.T / D**0.5).masked_fill(~chosen, float("-inf"))
    rest = ~chosen
    if rest.any():
        more = queries @ keys[rest].mean(0) / D**0.5 + rest.sum().double().log() + REMAINDER_BIAS
        logits = torch.cat([logits, more[:, None]], -1)
        values = torch.cat([values, values[rest].mean(0, keepdim=True)])
    return logits.softmax(-1) @ values


def head_loss(sequences, kv_head, means, lengths, filter, weights, output):
    """-> [B], mean over times of |Wo (kept - full)| / median length of the residual stream ** 0.75"""
    group = slice(kv_head * (H // G), (kv_head + 1) * (H // G))
    wo = output.double().view(E, H, D)[:, group]
    errors = []
    for s in sequences:
        keys, values = s["keys"][:, kv_head], s["values"][:, kv_head]
        rows = [n for n, t in enumerate(s["positions"].tolist()) if t >= 279 / 1280 * len(keys)]
        wanted = min(LOSS_TIMES, len(rows))
        for row in [rows[i * len(rows) // wanted] for i in range(wanted)]:
            t = s["positions"][row].item()
            logits = s["queries"][row, group].double() @ keys[: t + 1].double().T / D**0.5
            score = features(keys, values, t, means, lengths, filter) @ weights
            j = torch.arange(t + 1)
            full = logits.softmax(-1) @ values[: t + 1].double()
            error = []
            for budget in BUDGETS:
                chosen = (j < SINKS) | (j > t - WINDOW)
                if budget >= t + 1:
                    chosen[:] = True
                elif budget > chosen.sum():
                    free = score.masked_fill(chosen, float("-inf"))
                    chosen[free.topk(budget - int(chosen.sum())).indices] = True
                else:  # the newest
                    chosen = (j < SINKS) | (j > t - (budget - SINKS))
                kept = with_rest(s["queries"][row, group], keys[: t + 1], values[: t + 1], chosen)
                error.append(torch.einsum("ehd,hd->e", wo, kept - full).norm())
            errors.append(torch.stack(error))
    stream = torch.cat([s["residual"] for s in sequences]).double().sort().values
    return torch.stack(errors).mean(0) / stream[len(stream) // 2] ** 0.75


def statistics_fixture(folder):
    generator = torch.Generator().manual_seed(77)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    centre = draw(1, H, D)
    sequences = []
    for T in TOKENS:
        positions = torch.arange(3, T, 7)
        queries = turn((draw(len(positions), H, D) + 1.5 * centre).double(), positions)
        # Keys of the first tokens draw attention, as sinks do.
        keys = draw(T, G, D) + 0.7 * centre[:, :: H // G] * torch.rand(T, 1, 1, generator=generator)
        keys[0] *= 3
        keys = turn(keys.double(), torch.arange(T)).float()
        values = draw(T, G, D) * (0.4 * draw(T, G, 1)).exp()
        sequences.append(
            {
                "positions": positions,
                "queries": queries.float(),
                "keys": keys,
                "values": values,
                "residual": (0.5 * draw(T)).exp() * 3,
            }
        )
    output = draw(E, H * D)
    filters = torch.nn.functional.normalize(-centre[0, :: H // G] + 0.3 * draw(G, D), dim=-1)
    rows = torch.cat([s["queries"] for s in sequences])
    positions = torch.cat([s["positions"] for s in sequences])
    heads = []
    for g in range(G):
        means, length, covariance = query_statistics(rows, positions, g)
        weights = fit_score(sequences, g, means, length, filters[g])
        loss = head_loss(sequences, g, means, length, filters[g], weights, output)
        heads.append(
            {
                "means": means.flatten().tolist(),
                "abs": length.tolist(),
                "covariance": covariance.flatten().tolist(),
                "ageFit": fit_age(sequences, g, filters[g]),
                "scoreFit": weights.tolist(),
                "loss": loss.tolist(),
            }
        )
        print("kv head", g, {k: heads[-1][k] for k in ("ageFit", "scoreFit", "loss")}, flush=True)
    parts = [filters, output]
    for s in sequences:
        parts += [s["queries"], s["keys"], s["values"], s["residual"]]
    flat = torch.cat([part.flatten() for part in parts])
    flat.numpy().astype("<f4").tofile(os.path.join(folder, "statistics.bin"))
    case = {
        "torch": torch.__version__,
        "shape": {"layers": 1, "heads": H, "kvHeads": G, "headDim": D},
        "hidden": E,
        "inverseFrequencies": FREQUENCIES.tolist(),
        "budgets": BUDGETS,
        "sequences": [
            {"tokens": T, "positions": s["positions"].tolist()} for T, s in zip(TOKENS, sequences)
        ],
        "heads": heads,
    }
    with open(os.path.join(folder, "statistics.json"), "w", encoding="utf-8") as f:
        json.dump(case, f, separators=(",", ":"))
        f.write("\n")
