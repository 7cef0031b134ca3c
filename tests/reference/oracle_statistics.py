"""statistics.json and statistics.bin: what calibration learns of a kv head, by PyTorch in float64.

Queries before RoPE, keys and lengths of values are random with structure; PyTorch turns the queries, attends,
fits the Poisson model by L-BFGS over autograd's gradient, and keeps the best pairs by topk.
"""

import json
import os

import torch

H, G, D = 4, 2, 8
TOKENS = [150, 121]
BUDGETS = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
SINKS, WINDOW, YOUNGEST = 4, 32, 16
FREQUENCIES = 10000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)


def turn(x, positions, sign=1.0):
    """x [N, heads, D] half-split, positions [N]."""
    angle = sign * positions.double()[:, None, None] * FREQUENCIES
    a, b = x[..., : D // 2], x[..., D // 2 :]
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def query_statistics(queries, positions, kv_head):
    """Post-RoPE queries [N, H, D] -> mean [D], abs [D/2], covariance [D, D], head means [H/G, D]: pre-RoPE, of one group."""
    group = H // G
    x = turn(queries.double(), positions, -1.0)[:, kv_head * group : (kv_head + 1) * group]
    head_means = x.mean(0)
    x = x.reshape(-1, D)
    pairs = torch.complex(x[:, : D // 2], x[:, D // 2 :])
    return x.mean(0), pairs.abs().mean(0), torch.cov(x.T, correction=0), head_means


def attention(sequence, kv_head):
    """-> [N, T], the mean of the query group, zero where the key is in the future."""
    group = H // G
    q = sequence["queries"].double()[:, kv_head * group : (kv_head + 1) * group]
    k = sequence["keys"].double()[:, kv_head]
    scores = torch.einsum("nhd,td->nht", q, k) / D**0.5
    seen = torch.arange(k.shape[0]) <= sequence["positions"][:, None]
    return scores.masked_fill(~seen[:, None], float("-inf")).softmax(-1).mean(1)


def fit_poisson(y, x):
    """y [N], x [N, 2] -> coefficients of 1, x1, x2 that maximise sum(y eta - exp(eta))."""
    design = torch.cat([torch.ones(len(y), 1, dtype=torch.float64), x], dim=1)
    beta = torch.tensor([y.mean().log().item(), 0.0, 0.0], dtype=torch.float64, requires_grad=True)
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
        value = (eta.exp() - y * eta).mean()
        value.backward()
        return value

    for _ in range(5):
        steps.step(loss)
    return beta.detach()


def head_attention(sequences, kv_head, filter):
    """-> age fit (a, b, mean, std) and kept mass [B]."""
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
    shares = []
    for s, r in zip(sequences, raw):
        weights = attention(s, kv_head)
        norms = s["norms"].double()[:, kv_head]
        for row, i in zip(weights, s["positions"].tolist()):
            if 2 * i < len(r):
                continue
            j = torch.arange(i + 1)
            rank = a * (r[j] - mean) / std + norms[j].log() + b * (i - j + 1).double().log()
            mass = row[j] * norms[j]
            kept = []
            for budget in BUDGETS:
                if budget >= i + 1:
                    kept.append(1.0)
                    continue
                window = min(WINDOW, budget // 2)
                free = (j >= SINKS) & (j < i + 1 - window)
                best = rank.masked_fill(~free, float("-inf")).topk(budget - window - SINKS).indices
                chosen = ~free
                chosen[best] = True
                kept.append((mass[chosen].sum() / mass.sum()).item())
            shares.append(kept)
    return [a, b, mean.item(), std.item()], torch.tensor(shares).double().mean(0).tolist()


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
        norms = (0.4 * draw(T, G)).exp()
        sequences.append(
            {"positions": positions, "queries": queries.float(), "keys": keys, "norms": norms}
        )
    filters = torch.nn.functional.normalize(-centre[0, :: H // G] + 0.3 * draw(G, D), dim=-1)
    rows = torch.cat([s["queries"] for s in sequences])
    positions = torch.cat([s["positions"] for s in sequences])
    heads = []
    for g in range(G):
        mean, length, covariance, head_means = query_statistics(rows, positions, g)
        age_fit, mass = head_attention(sequences, g, filters[g])
        heads.append(
            {
                "mean": mean.tolist(),
                "headMeans": head_means.flatten().tolist(),
                "abs": length.tolist(),
                "covariance": covariance.flatten().tolist(),
                "ageFit": age_fit,
                "mass": mass,
            }
        )
        print("kv head", g, "age fit", age_fit, "mass", mass, flush=True)
    parts = [filters]
    for s in sequences:
        parts += [s["queries"], s["keys"], s["norms"]]
    flat = torch.cat([part.flatten() for part in parts])
    flat.numpy().astype("<f4").tofile(os.path.join(folder, "statistics.bin"))
    case = {
        "torch": torch.__version__,
        "shape": {"layers": 1, "heads": H, "kvHeads": G, "headDim": D},
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
