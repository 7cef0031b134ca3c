"""policies-tiny.json: what every policy keeps of a prompt and of the tokens decoded after it, in PyTorch;
policies-smollm3.json: the same of policies that know of RoPE, in a model one of whose layers has none.

The tiny models, fp32, all keys and values in memory, masks [G, T] of what each kv head still has.
A prompt goes through each layer in full before anything is dropped (H2O: by chunks of 128); while decoding a
policy whose scores change scores everything anew before every 16th position (or window, if less), with the
token before it as the newest; LagKV scores a chunk of `window` tokens once the next one is complete, and until
then a pair's position is its score. Then the new pair is taken in, the lowest unprotected score goes, of equal ones
the lowest position, and only then is attended. Scores are written from the papers, not from our shaders.

Kept sets may differ where scores are nearly equal: `doubtful` are the positions that were within NEAR standard
deviations of what decided. The calibration, policies-tiny.safetensors, is of the model's own queries.
"""

import math
import os
import subprocess
import tempfile

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from oracle_families import load_family
from oracle_filters import filters_of_layer
from oracle_model import Llama, check, grouped_attention, load
from oracle_statistics import fit_poisson

REMAINDER_BIAS = 0.6
PROMPT, DECODED, SECOND, CHUNK, EVERY, NEAR = 200, 60, 140, 128, 16, 1e-3
RUNS = [{"budget": 64, "window": 16, "sinks": 4}, {"budget": 96, "window": 32, "sinks": 4}]
SEED = 1
LOSS_BUDGETS = [32, 64, 96, 128, 192]
AHEAD = [2**i for i in range(10)]


def sequence(vocab, count, seed):
    """No token comes twice: its keys in the first layer would be of the same length, a tie for k-norm."""
    order = torch.randperm(vocab - 3, generator=torch.Generator().manual_seed(seed))
    return (order[:count] + 3).tolist()


class Head:
    """What a policy may know of one kv head, and what it has cached: keys [N, D] after RoPE, values [N, D]."""

    def __init__(self, llama, known, index):
        self.llama, self.index = llama, index
        self.__dict__.update(known)

    def rope(self, x, positions):
        return self.llama.rope(x[None, None], positions, self.index // self.llama.G)[0, 0]

    @property
    def group_mean(self):
        return self.q_mean.mean(0)

    @property
    def unexplained(self):
        """[D/2]: of the mean length of each rotary pair, what the heads' mean queries are short of."""
        return self.q_abs - moduli(self.q_mean).mean(0)


def moduli(x):
    """Lengths of rotary pairs, [..., D] -> [..., D/2]"""
    return torch.complex(*x.chunk(2, dim=-1)).abs()


# Scores: (head, keys, values, positions, last) -> [N], higher = keep.


def q_filters(head, k, v, positions, last):
    return -(k @ head.filter)


def q_filters_age(head, k, v, positions, last):
    a, b, mean, std = head.age_fit.tolist()
    age = (last - positions).float() + 1
    return a * (-(k @ head.filter) - mean) / std + v.norm(dim=-1).log() + b * age.log()


def tri_attention(head, k, v, positions, last):
    """Mean of the future logits of the mean query, plus the lengths that the mean does not explain."""
    future = head.rope(head.group_mean.expand(len(AHEAD), -1), last + torch.tensor(AHEAD))
    return (k @ future.T).mean(-1) + moduli(k) @ head.unexplained


def expected_attention(head, k, v, positions, last):
    """softmax(mu k / sqrt(d) + k' S k / 2d) |v|, mu and S turned by the mean of the next 512 rotations."""
    d = k.shape[-1]
    rotations = [head.rope(torch.eye(d), torch.full((d,), last + i)) for i in range(1, 513)]
    turn = torch.stack(rotations).double().mean(0).T
    mu = turn @ head.group_mean.double()
    cov = turn @ head.q_cov.double() @ turn.T
    k = k.double()
    logits = k @ mu / math.sqrt(d) + torch.einsum("nd,de,ne->n", k, cov, k) / d / 2
    return (logits.softmax(0) * v.double().norm(dim=-1)).log()


def keydiff(head, k, v, positions, last):
    anchor = F.normalize(k, dim=-1).mean(dim=0, keepdim=True)
    return -F.cosine_similarity(k, anchor, dim=-1)


def k_norm(head, k, v, positions, last):
    return -k.norm(dim=-1)


def streaming_llm(head, k, v, positions, last):
    return positions.float()


def random(head, k, v, positions, last):
    """PCG-RXS-M-XS-32 (O'Neill 2014), twice."""

    def pcg(state):
        word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737 & 0xFFFFFFFF
        return (word >> 22) ^ word

    def draw(position):
        start = position * 747796405 + head.index * 2891336453 + SEED * 277803737 + 1
        return pcg(pcg(start & 0xFFFFFFFF) * 747796405 + 2891336453 & 0xFFFFFFFF) >> 8

    return torch.tensor([draw(p) for p in positions.tolist()]).double() / 2**24


def winnow_features(head, k, v, positions, last):
    """[N, 7]"""
    ahead = last + torch.tensor(AHEAD)
    queries = [head.rope(q.expand(len(AHEAD), -1), ahead).mean(0) for q in head.q_mean]
    root = math.sqrt(k.shape[-1])
    columns = [
        (k @ torch.stack(queries).T / root).logsumexp(-1),
        moduli(k) @ head.unexplained / root,
        v.norm(dim=-1).log(),
        ((last - positions).float() + 1).log(),
        -keydiff(head, k, v, positions, last),
        k @ head.filter,
        k.norm(dim=-1),
    ]
    return torch.stack(columns, dim=-1).double()


def winnow(head, k, v, positions, last):
    return winnow_features(head, k, v, positions, last) @ head.score_fit[:7].double()


def winnow_prompt(head, k, v, positions, last, weights, cached):
    """A prompt in one piece, after `cached` pairs of earlier ones; weights [R, M, N] of its last rows."""

    def z(x):
        return (x - x.mean()) / x.std(correction=0)

    def most_of_neighbours(x, size):
        rows = F.max_pool1d(x[None, cached:], size, stride=1, padding=size // 2)[0]
        return torch.cat([x[:cached], rows])

    def strayed(x):
        """How far from the others, root mean square over the channels in their deviations"""
        x = x.double()
        return ((x - x.mean(0)) / x.std(0, correction=0)).square().mean(-1).sqrt()

    plain = head.rope(k, -positions)
    novelty = z(keydiff(head, plain, v, positions, last).double())
    scores = z(winnow(head, k, v, positions, last)) + 2 * novelty + z(strayed(plain)) + z(strayed(v))
    seen = most_of_neighbours(weights.double().mean(1).amax(0), 21)
    return z(most_of_neighbours(scores, 9)) + 0.25 * z((seen + 1e-6).log())


def lag_kv(k, v, lag):
    """LagKV of whole chunks, [n lag, D] each -> places in their chunks [(n - 1) lag], and which are doubtful."""

    def strayed(x):
        chunks = x.double().unflatten(0, (-1, lag))
        low, high = chunks[1:].amin(1, keepdim=True), chunks[1:].amax(1, keepdim=True)
        return ((chunks[:-1] - low) / (high - low)).std(-1).softmax(-1)

    score = (strayed(k) + strayed(v)) / 2
    order = score.argsort(dim=-1)
    gaps = F.pad(score.gather(-1, order).diff(dim=-1), (1, 1), value=1.0)
    near = torch.minimum(gaps[:, :-1], gaps[:, 1:]) < NEAR * score.std(-1, keepdim=True)
    places = order.argsort(dim=-1)
    return places.flatten() / lag, near.gather(-1, places).flatten()


def nothing(head, k, v, positions, last):
    return torch.zeros(len(positions))


#: `remembers`: what a head drops attends as one more pair, of its mean key and value, for all that were dropped.
#: `changes`: scored anew every EVERY tokens. `chunks`: scored once, when the next chunk is complete. `observes`: attention that is seen, see Simulation. `divides`: heads
#: have budgets of their own, from the start, since the prompt is longer than the budget.
POLICIES = {
    "winnow": {"score": winnow, "changes": True, "divides": True, "observes": "prompt", "remembers": True},
    "full": {"score": nothing},
    "q-filters": {"score": q_filters},
    "q-filters-age": {"score": q_filters_age, "changes": True},
    "tri-attention": {"score": tri_attention, "changes": True},
    "expected-attention": {"score": expected_attention, "changes": True},
    "keydiff": {"score": keydiff, "changes": True},
    "lag-kv": {"score": streaming_llm, "chunks": True},
    "k-norm": {"score": k_norm},
    # What comes after the prompt is below all of it, oldest first.
    "snapkv": {"score": lambda *x: 1e-30 * x[3].double(), "observes": "end of prompt"},
    "h2o": {"score": nothing, "observes": "sum"},
    "streaming-llm": {"score": streaming_llm},
    "random": {"score": random},
}

#: What knows of RoPE, and what says that the model itself is right.
MOVING = ["full", "winnow", "tri-attention", "expected-attention"]


def snapkv_scores(weights):
    """weights [R, 64, N] of the query group -> [N], as SnapKV pools them (kernel 5)."""
    return F.avg_pool1d(weights.mean(1), kernel_size=5, padding=2, stride=1).mean(0)


def divided(loss, run):
    """loss [L, G, B] -> budgets [L, G] of the same mean: one pair after the other goes where it lowers the squared loss most."""
    mean, heads = run["budget"], loss.shape[0] * loss.shape[1]
    floor = 32 * math.ceil(max(32, run["window"] + run["sinks"] + 1) / 32)
    most = min(8 * mean, LOSS_BUDGETS[-1])
    pairs = [mean] * heads
    if floor < mean < most:
        curves = [lower_hull(LOSS_BUDGETS, y) for y in loss.square().flatten(0, 1).tolist()]
        pairs = [floor] * heads
        for _ in range((mean - floor) * heads):
            gains = [c(n) - c(n + 1) if n < most else -math.inf for c, n in zip(curves, pairs)]
            pairs[gains.index(max(gains))] += 1
    return torch.tensor(pairs).view(loss.shape[:2]).tolist()


def lower_hull(x, y):
    """The largest convex function below the points: at each place the lowest chord over it."""

    def at(t):
        chords = [y[x.index(t)]] if t in x else []
        for i, a in enumerate(x):
            for j, b in enumerate(x):
                if a < t < b:
                    chords.append(y[i] + (y[j] - y[i]) * (t - a) / (b - a))
        return min(chords)

    return at


class Simulation:
    def __init__(self, llama, policy, run, heads):
        self.llama, self.run, self.heads = llama, run, heads
        self.policy = POLICIES[policy]
        self.budgets = [[math.inf if policy == "full" else run["budget"]] * llama.G] * llama.L
        whole = run.get("whole", 0)  # first layers that are not compressed
        if self.policy.get("divides"):
            loss = torch.stack([torch.stack([head.head_loss for head in layer]) for layer in heads])
            self.budgets[whole:] = divided(loss[whole:], run)
        self.budgets[:whole] = [[math.inf] * llama.G] * whole
        total = PROMPT + DECODED + SECOND
        self.k = torch.zeros(llama.L, llama.G, total, llama.D)
        self.v = torch.zeros(llama.L, llama.G, total, llama.D)
        self.scores = torch.zeros(llama.L, llama.G, total, dtype=torch.float64)
        self.kept = torch.zeros(llama.L, llama.G, total, dtype=torch.bool)
        self.doubtful = torch.zeros(llama.L, llama.G, total, dtype=torch.bool)
        self.ranked = torch.zeros(llama.L, llama.G, dtype=torch.int)
        # What each head has dropped.
        self.dropped = torch.zeros(llama.L, llama.G, total, dtype=torch.bool)

    def rank(self, layer, g, length):
        """Scores of the chunks that have none, of the first `length` tokens: all of these are still there."""
        lag, sinks = self.run["window"], self.run["sinks"]
        first = sinks + int(self.ranked[layer, g]) * lag
        chunks = (length - first) // lag
        if chunks < 2:
            return
        whole = slice(first, first + chunks * lag)
        assert self.kept[layer, g, whole].all()
        places, near = lag_kv(self.k[layer, g, whole], self.v[layer, g, whole], lag)
        ranked = slice(first, first + (chunks - 1) * lag)
        self.scores[layer, g, ranked] = places.double()
        self.doubtful[layer, g, ranked] |= near
        self.ranked[layer, g] += chunks - 1

    def score(self, layer, g, positions, last):
        k, v = self.k[layer, g, positions], self.v[layer, g, positions]
        values = self.policy["score"](self.heads[layer][g], k, v, positions, last)
        self.scores[layer, g, positions] = values.double()

    def evict(self, layer, g, length):
        kept, scores = self.kept[layer, g], self.scores[layer, g]
        excess = int(kept.sum()) - self.budgets[layer][g]
        if excess <= 0:
            return
        every = torch.arange(len(kept))
        free = (every >= self.run["sinks"]) & (every < length - self.run["window"])
        candidates = torch.nonzero(kept & free).flatten()
        order = candidates[torch.sort(scores[candidates], stable=True).indices]
        kept[order[:excess]] = False
        self.dropped[layer, g, order[:excess]] = True
        if excess < len(order):
            low, high = scores[order[excess - 1]], scores[order[excess]]
            near = NEAR * scores[candidates].std()
            # Places in a chunk are exact: see `rank`.
            if high - low < near and not self.policy.get("chunks"):
                s = scores[candidates]
                self.doubtful[layer, g, candidates[(s > high - near) & (s < low + near)]] = True

    def weights(self, layer, g, q, positions):
        """Attention [R, M, N] of queries q [1, H, M, D] to what is kept, N = tokens so far."""
        n = int(positions[-1]) + 1
        group = q.shape[1] // self.llama.G
        k = self.k[layer, g, :n]
        logits = q[0, g * group : (g + 1) * group] @ k.T / math.sqrt(k.shape[-1])
        seen = self.kept[layer, g, :n] & (torch.arange(n) <= positions[:, None])
        logits = logits.masked_fill(~seen, -math.inf)
        if self.policy.get("remembers"):
            key, _, bias = (x[g] for x in self.remainder(layer))
            rest = q[0, g * group : (g + 1) * group] @ key / math.sqrt(k.shape[-1]) + bias
            return torch.cat([logits, rest[..., None]], -1).softmax(-1)[..., :n]
        return logits.softmax(-1)

    def observe(self, layer, g, q, positions):
        n = int(positions[-1]) + 1
        if self.policy.get("observes") == "sum":
            self.scores[layer, g, :n] += self.weights(layer, g, q, positions).mean(0).sum(0)
        elif self.policy.get("observes") == "prompt" and len(positions) > 1:
            last = self.weights(layer, g, q[:, :, -32:], positions[-32:])
            kept = torch.nonzero(self.kept[layer, g]).flatten()
            cached = len(kept) - len(positions)
            k, v, head = self.k[layer, g, kept], self.v[layer, g, kept], self.heads[layer][g]
            scores = winnow_prompt(head, k, v, kept, n - 1, last[:, :, kept], cached)
            self.scores[layer, g, kept] = scores
        elif self.policy.get("observes") == "end of prompt" and len(positions) > 1:
            last = self.weights(layer, g, q[:, :, -64:], positions[-64:])
            self.scores[layer, g, :n] = snapkv_scores(last).double()

    def logits(self, ids, start):
        """Runs `ids` at once: a prompt, or one token. [M, V]"""
        positions = torch.arange(start, start + len(ids))
        end, decodes = start + len(ids), len(ids) == 1
        interval = min(EVERY, self.run["window"])

        def attend(layer, q, k, v):
            for g in range(self.llama.G):
                kept = torch.nonzero(self.kept[layer, g]).flatten()
                due = decodes and self.policy.get("changes") and start % interval == 0
                if due and len(kept) + interval > self.budgets[layer][g]:
                    self.score(layer, g, kept, start - 1)
                if decodes and self.policy.get("chunks"):
                    self.rank(layer, g, start)
                self.k[layer, g, positions], self.v[layer, g, positions] = k[0, g], v[0, g]
                self.kept[layer, g, positions] = True
                if not decodes or not self.policy.get("changes"):
                    self.score(layer, g, positions, end - 1)
                if decodes:
                    self.evict(layer, g, end)
            causal = torch.arange(end) <= positions[:, None]
            seen = self.kept[layer, :, None, :end] & causal
            remainder = self.remainder(layer) if self.policy.get("remembers") else None
            out = grouped_attention(
                q, self.k[None, layer, :, :end], self.v[None, layer, :, :end], seen[None], remainder
            )
            for g in range(self.llama.G):
                self.observe(layer, g, q, positions)
                if not decodes and self.policy.get("chunks"):
                    self.rank(layer, g, end)
                if not decodes:
                    self.evict(layer, g, end)
            return out

        return self.llama.logits(torch.tensor([ids]), positions, attend)[0]

    def remainder(self, layer):
        """Mean key and value [G, D] of what each head has dropped, and what is added to its logit [G]."""
        gone = self.dropped[layer].float()
        count = gone.sum(-1)
        mean = lambda x: torch.einsum("gt,gtd->gd", gone, x) / count.clamp_min(1)[:, None]
        return mean(self.k[layer]), mean(self.v[layer]), count.log() + REMAINDER_BIAS

    def positions(self, mask):
        return [[torch.nonzero(g).flatten().tolist() for g in layer] for layer in mask]


def simulate(llama, policy, run, heads, ids):
    simulation = Simulation(llama, policy, run, heads)
    sums = simulation.policy.get("observes") == "sum"
    step = CHUNK if sums else PROMPT
    for start in range(0, PROMPT, step):
        logits = simulation.logits(ids[start : min(start + step, PROMPT)], start)
    after_prompt = simulation.positions(simulation.kept)
    nll = []
    for t in range(PROMPT, PROMPT + DECODED):
        nll.append(-logits[-1].double().log_softmax(-1)[ids[t]].item())
        logits = simulation.logits(ids[t : t + 1], t)
    end = simulation.positions(simulation.kept)
    # Of the others nothing is new in a second prompt.
    again = {}
    if policy in ("winnow", "lag-kv"):
        simulation.logits(ids[PROMPT + DECODED :], PROMPT + DECODED)
        again = {"second": simulation.positions(simulation.kept)}
    doubtful = simulation.positions(simulation.doubtful)
    share = simulation.doubtful.float().mean().item()
    print(policy, run, "mean loss", sum(nll) / len(nll), "doubtful", share, flush=True)
    assert share < 0.1
    return {
        "policy": policy,
        **run,
        "prompt": after_prompt,
        "end": end,
        **again,
        "doubtful": doubtful,
        "nll": [round(x, 5) for x in nll],
    }


def calibration(llama, ids):
    """Tensors of a calibration file, [L, G, ...], from the model's own queries on `ids`."""
    n = len(ids)
    positions = torch.arange(n)
    names = "q_filters q_mean q_abs q_cov age_fit score_fit head_loss".split()
    out = {name: [] for name in names}
    generator = torch.Generator().manual_seed(3)

    def attend(layer, q, k, v):
        group = llama.H // llama.G
        plain = llama.rope(q, -positions, layer)[0]
        filters, _ = filters_of_layer(q[0], llama.G)
        for g in range(llama.G):
            own = plain[g * group : (g + 1) * group]
            x = own.reshape(-1, llama.D)
            out["q_filters"].append(filters[g])
            out["q_mean"].append(own.mean(1))
            out["q_abs"].append(moduli(x).mean(0))
            out["q_cov"].append(torch.cov(x.T, correction=0))
            logits = q[0, g * group : (g + 1) * group] @ k[0, g].T / math.sqrt(llama.D)
            causal = torch.ones(n, n, dtype=torch.bool).tril()
            weights = logits.masked_fill(~causal, -math.inf).softmax(-1).mean(0)
            score = -(k[0, g] @ filters[g])
            mean, std = score[4:].mean(), score[4:].std(correction=0)
            i, j = torch.nonzero(causal & (positions >= 4), as_tuple=True)
            x = torch.stack([(score[j] - mean) / std, (i - j + 1).double().log()], dim=1)
            _, a, b = fit_poisson(weights[i, j].double(), x.double()).tolist()
            out["age_fit"].append(torch.tensor([a, b, mean, std]))
            # A fit to a random model's attention would be of age alone: drawn, every feature counts.
            known = {"filter": filters[g], "q_mean": out["q_mean"][-1], "q_abs": out["q_abs"][-1]}
            features = winnow_features(Head(llama, known, layer * llama.G + g), k[0, g], v[0, g], positions, n - 1)
            drawn = torch.randn(7, generator=generator) / features.std(0)
            out["score_fit"].append(F.pad(drawn, (0, 1)))
            # Heads of a random model are alike: sharpened, each a bit more, they want different budgets.
            sharp = (logits * (1 + 0.5 * (layer * llama.G + g))).masked_fill(~causal, -math.inf).softmax(-1)
            out["head_loss"].append(losses_of(sharp[:, n // 2 :], v[0, g]))
        return grouped_attention(q, k, v, torch.ones(n, n, dtype=torch.bool).tril())

    llama.hidden(torch.tensor([ids]), positions, attend)
    shape = (llama.L, llama.G)
    return {k: torch.stack(v).float().unflatten(0, shape).contiguous() for k, v in out.items()}


def losses_of(weights, v):
    """weights [R, M, N], v [N, D] -> [B]: mean error of the group's output with but the most attended pairs."""
    order = weights.mean(0).argsort(dim=-1, descending=True)
    losses = []
    for budget in LOSS_BUDGETS:
        kept = torch.zeros(order.shape, dtype=torch.bool).scatter_(1, order[:, :budget], True)
        part = weights * kept
        error = part / part.sum(-1, keepdim=True) @ v - weights @ v
        losses.append(error.square().sum((0, 2)).sqrt().mean())
    return torch.stack(losses)


def write_tiny(root, work):
    script = os.path.join(root, "tests", "reference", "tiny-model", "write-tiny.mjs")
    subprocess.run(["node", script, work], check=True, cwd=root)


def tiny_model(root):
    with tempfile.TemporaryDirectory() as work:
        write_tiny(root, work)
        return load(os.path.join(work, "tiny-f32.gguf"))


def heads_of(llama, known):
    """[L][G] Head, of the tensors of a calibration file."""
    short = {"q_filters": "filter"}
    return [
        [
            Head(llama, {short.get(k, k): v[l, g] for k, v in known.items()}, l * llama.G + g)
            for g in range(llama.G)
        ]
        for l in range(llama.L)
    ]


def fixture_of(model, path, policies, runs):
    """The runs of some policies; their calibration goes to `path`."""
    vocab = model.config.vocab_size
    ids = sequence(vocab, PROMPT + DECODED, 1)
    assert check(model, ids) < 1e-4
    second = sequence(vocab, SECOND, 4)
    llama = Llama(model)
    known = calibration(llama, sequence(vocab, 260, 2))
    budgets = " ".join(map(str, LOSS_BUDGETS))
    save_file(known, path, metadata={"version": "3", "head_loss_budgets": budgets})
    os.chmod(path, 0o644)
    heads = heads_of(llama, known)
    found = [simulate(llama, p, run, heads, ids + second) for p in policies for run in runs]
    own = [{**run, "heads": divided(known["head_loss"], run)} for run in runs]
    common = {"tokens": ids, "second": second, "prompt": PROMPT, "head_budgets": own}
    return {**common, "runs": found}


def check_uncompressed(model, fixture):
    """The policy that keeps everything has the losses of transformers' own forward pass."""
    ids = fixture["tokens"]
    full = next(r["nll"] for r in fixture["runs"] if r["policy"] == "full")
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, PROMPT - 1 : -1].double().log_softmax(-1)
    plain = [-logits[i, ids[PROMPT + i]].item() for i in range(DECODED)]
    assert max(abs(a - b) for a, b in zip(full, plain)) < 1e-3


def policies_fixture(root, folder, provenance, write):
    with tempfile.TemporaryDirectory() as work:
        write_tiny(root, work)
        plain = load(os.path.join(work, "tiny-f32.gguf"))
        smollm3 = load_family(os.path.join(work, "tiny-smollm3.gguf"), "smollm3")
    cases = [("tiny", plain, POLICIES, RUNS), ("smollm3", smollm3, MOVING, RUNS[:1])]
    for name, model, policies, runs in cases:
        path = os.path.join(folder, f"policies-{name}.safetensors")
        fixture = fixture_of(model, path, policies, runs)
        check_uncompressed(model, fixture)
        write(f"policies-{name}.json", {**provenance, **fixture})
