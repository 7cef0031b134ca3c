"""eviction.json and eviction-chunked.json: loss a token under eviction, simulated with masks.

Every key and value stays in memory at its true position; a boolean mask [B, G, T] a layer says
which of them a kv head still has. B runs over the policies, which are simulated side by side.
Decode order: append, evict, attend (one token at a time). Prompt order: attend, evict (by chunks).
Score: higher = keep. Never dropped: positions < sinks and the last `window` tokens, the newest
included. Of equal scores the lowest position is dropped first.
"""

import torch

from oracle_model import Llama, grouped_attention

BUDGET, TOKENS, CHUNK = 96, 400, 128
LAYERS = (0, 10, 29)
POLICIES = [
    {"policy": "q-filters", "window": 64, "sinks": 0},
    {"policy": "q-filters", "window": 64, "sinks": 4},
    {"policy": "k-norm", "window": 64, "sinks": 4},
    {"policy": "streaming-llm", "window": 64, "sinks": 4},
]


def score(policy, k, positions, f):
    """k [G, M, D] after RoPE, f [G, D] (stored negative) -> [G, M]."""
    if policy == "q-filters":
        return -torch.einsum("gmd,gd->gm", k, f)
    if policy == "k-norm":
        return -k.norm(dim=-1)
    if policy == "random":
        return ((positions * 2654435761) % 2**32 * 40503 % 2**16).float().expand(k.shape[0], -1)
    return positions.float().expand(k.shape[0], -1)


class Simulation:
    def __init__(self, llama, runs, filters, budget, tokens):
        shape = (len(runs), llama.G, tokens)
        self.llama, self.runs, self.filters, self.budget = llama, runs, filters, budget
        self.k = [torch.zeros(*shape, llama.D) for _ in range(llama.L)]
        self.v = [torch.zeros(*shape, llama.D) for _ in range(llama.L)]
        self.scores = [torch.zeros(shape) for _ in range(llama.L)]
        self.kept = [torch.zeros(shape, dtype=torch.bool) for _ in range(llama.L)]

    def append(self, layer, k, v, positions):
        self.k[layer][:, :, positions], self.v[layer][:, :, positions] = k, v
        self.kept[layer][:, :, positions] = True
        for b, run in enumerate(self.runs):
            values = score(run["policy"], k[b], positions, self.filters[layer])
            self.scores[layer][b][:, positions] = values

    def evict(self, layer, length):
        """Drops the lowest until `budget` are left. `length` = tokens seen so far."""
        every = torch.arange(self.kept[layer].shape[-1])
        for b, run in enumerate(self.runs):
            free = (every >= run["sinks"]) & (every < length - run["window"])
            for g in range(self.llama.G):
                kept = self.kept[layer][b, g]
                excess = int(kept.sum()) - self.budget
                if excess <= 0:
                    continue
                candidates = torch.nonzero(kept & free).flatten()
                order = torch.sort(self.scores[layer][b, g, candidates], stable=True).indices
                kept[candidates[order[:excess]]] = False

    def run(self, ids, step):
        """Loss of each next token, [B][len(ids) - 1]. step 1 = decode order, else prompt order."""
        nll = []
        B = len(self.runs)
        for start in range(0, len(ids), step):
            chunk = torch.tensor(ids[start : start + step])
            positions = torch.arange(start, start + len(chunk))
            end = start + len(chunk)

            def attend(layer, q, k, v):
                self.append(layer, k, v, positions)
                if step == 1:
                    self.evict(layer, end)
                causal = torch.arange(end)[None] <= positions[:, None]
                seen = self.kept[layer][:, :, None, :end] & causal
                out = grouped_attention(q, self.k[layer][:, :, :end], self.v[layer][:, :, :end], seen)
                if step > 1:
                    self.evict(layer, end)
                return out

            logits = self.llama.logits(chunk.expand(B, -1), positions, attend)
            rows = min(len(chunk), len(ids) - 1 - start)
            targets = torch.tensor(ids[start + 1 : start + 1 + rows], dtype=torch.long)
            logp = logits[:, :rows].double().log_softmax(-1)
            nll.append(-logp[:, torch.arange(rows), targets])
        return torch.cat(nll, dim=1)

    def kept_positions(self, b, layer):
        return [torch.nonzero(x).flatten().tolist() for x in self.kept[layer][b]]


def simulate(model, ids, filters, runs, budget, step, layers):
    simulation = Simulation(Llama(model), runs, filters, budget, len(ids))
    nll = simulation.run(ids, step)
    out = []
    for b, run in enumerate(runs):
        kept = {str(layer): simulation.kept_positions(b, layer) for layer in layers}
        mean = nll[b].mean().item()
        print(run, "budget", budget, "step", step, "mean loss", mean, flush=True)
        losses = [round(x, 5) for x in nll[b].tolist()]
        out.append({**run, "mean": round(mean, 6), "nll": losses, "kept": kept})
    return out


def full_loss(model, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    return -logits.log_softmax(-1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]


def eviction_fixtures(model, ids, filters_path, provenance, write):
    from safetensors.torch import load_file

    ids = ids[:TOKENS]
    assert len(ids) == TOKENS, f"the passage has only {len(ids)} tokens"
    filters = load_file(filters_path)["q_filters"]
    full = full_loss(model, ids)
    # An unlimited budget must give the model's own loss: the simulation's own check.
    free = simulate(model, ids[:64], filters, POLICIES[:1], 64, 1, ())[0]["nll"]
    assert max(abs(a - b) for a, b in zip(free, full.tolist())) < 1e-3
    common = {"budget": BUDGET, "tokens": ids, "full_mean": round(full.mean().item(), 6)}
    common["full_nll"] = [round(x, 5) for x in full.tolist()]
    for name, step in (("eviction.json", 1), ("eviction-chunked.json", CHUNK)):
        runs = simulate(model, ids, filters, POLICIES, BUDGET, step, LAYERS)
        write(name, {**provenance, **common, "chunk": step, "runs": runs})
