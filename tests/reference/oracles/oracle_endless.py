"""endless-*.json: losses of a chat that goes on past the trained length, on the tiny models, by transformers' own models.

Token by token. A token's key is turned by transformers to where it stands; what is cached is turned again whenever positions
are folded, which happens as soon as the next token would stand at TRAINED: positions below 2 S are halved, S is taken from
the others, S = 3 TRAINED / 8. Every kv head keeps the first `sinks` tokens, the last `window`, and what scores highest.
Layers with a sliding window hold their last tokens, which are turned too. What a head drops under `winnow` attends as one
more pair, and fades once it stands for MOST pairs. The calibration is drawn, since that of a random model's attention would be of age alone.
"""

import math
import os
import subprocess
import tempfile

import torch
from transformers import AttentionInterface

from oracle_families import as_winnow, load_family
from oracle_model import load
from oracle_policies import AHEAD, REMAINDER_BIAS, Head, moduli, winnow
from oracle_tiny import FAMILIES

TRAINED, TOKENS, MEAN = 512, 4000, 16
STRIDE = 3 * TRAINED // 8
MOST = 512
NAMES = ("f32", "llama3", "smollm3", "qwen2", "qwen3", "gemma3", "granite", "phi3")
RUNS = [
    {"policy": "q-filters", "budget": 48, "window": 8, "sinks": 2},
    {"policy": "streaming-llm", "budget": 48, "window": 8, "sinks": 2},
    {"policy": "winnow", "budget": 48, "window": 8, "sinks": 2},
]


def sequence(vocab, count):
    """Token ids without a period, so that what is kept differs from head to head."""
    generator = torch.Generator().manual_seed(11)
    return torch.randint(3, vocab, (count,), generator=generator).tolist()


def drawn_calibration(shape, r):
    """Tensors of a calibration file, [L, G, ...], to four digits; r query heads per kv head."""
    draw = torch.Generator().manual_seed(7)
    four = lambda x: (x * 1e4).round() / 1e4
    L, G, D = shape
    filters = four(torch.randn(shape, generator=draw) * 0.3)
    q_mean = four(torch.randn(L, G, r, D, generator=draw) * 0.5)
    q_abs = four(moduli(q_mean).mean(2) + torch.rand(L, G, D // 2, generator=draw))
    weights = torch.randn(L, G, 8, generator=draw)
    weights[..., 7] = 0
    return {"q_filters": filters, "q_mean": q_mean, "q_abs": q_abs, "score_fit": four(weights)}


class Turner:
    """What oracle_policies' Head asks of a model: positions that turn by the layer's own rotary embedding."""

    G = 1

    def __init__(self, model):
        self.model = model

    def rope(self, x, positions, layer):
        return turn(self.model, layer, x[0], positions[None])[None]


class Layer:
    def __init__(self):
        self.k = self.v = self.index = self.scores = None
        # What heads have dropped: n [G, 1], sums of keys and values [G, D].
        self.n = self.keys = self.values = 0


class Endless:
    """An attention function for transformers that keeps its own cache."""

    def __init__(self, model, run, known):
        self.model, self.run, self.filters = model, run, known["q_filters"]
        L, G, _ = self.filters.shape
        part = lambda l, g: {"filter" if key == "q_filters" else key: value[l, g] for key, value in known.items()}
        self.heads = [[Head(Turner(model), part(l, g), l) for g in range(G)] for l in range(L)]
        self.layers = [Layer() for _ in range(L)]
        # The newest token's index in the text, and where it stands.
        self.t = self.following = 0

    def score(self, index):
        """winnow's scores of what is cached, before a token is taken in."""
        layer = self.layers[index]
        for g, head in enumerate(self.heads[index]):
            ages = self.t - 1 - layer.index[g]
            # Ages count tokens of the text; queries stand where folds have put them.
            standing = self.following - 1
            layer.scores[g] = winnow(head, layer.k[g], layer.v[g], standing - ages, standing)

    def drop(self, layer, gone, k, v):
        """Adds each head's victim [G] to what it has dropped."""
        fading = (MOST - 1) / layer.n.clamp(min=MOST - 1) if torch.is_tensor(layer.n) else 0
        at = torch.arange(len(gone))
        layer.n = layer.n * fading + torch.ones(len(gone), 1)
        layer.keys, layer.values = layer.keys * fading + k[at, gone], layer.values * fading + v[at, gone]

    def __call__(self, module, query, key, value, attention_mask, scaling, **_):
        query, key = as_winnow(module.config, query, key)
        layer = self.layers[module.layer_idx]
        sliding = getattr(module, "is_sliding", False)
        remembers = self.run["policy"] == "winnow" and not sliding
        k, v = key[0], value[0]  # [G, 1, D]
        due = remembers and self.t % self.run["window"] == 0 and layer.k is not None
        if due and layer.k.shape[1] + self.run["window"] > self.run["budget"]:
            self.score(module.layer_idx)
        at = torch.full((k.shape[0], 1), self.t)
        # Fixed when the pair is written, where it then stands.
        scores = -torch.einsum("gnd,gd->gn", k, self.filters[module.layer_idx])
        if layer.k is not None:
            k, v = torch.cat([layer.k, k], 1), torch.cat([layer.v, v], 1)
            at = torch.cat([layer.index, at], 1)
            scores = torch.cat([layer.scores, scores], 1)
        most = module.sliding_window if sliding else self.run["budget"]
        if k.shape[1] > most:
            ranks = at.float() if sliding or self.run["policy"] == "streaming-llm" else scores
            free = (at >= (0 if sliding else self.run["sinks"])) & (at <= self.t - (1 if sliding else self.run["window"]))
            gone = ranks.masked_fill(~free, float("inf")).argmin(1)
            if remembers:
                self.drop(layer, gone, k, v)
            stays = torch.ones_like(at, dtype=torch.bool)
            stays[torch.arange(len(gone)), gone] = False
            G, D = k.shape[0], k.shape[2]
            k, v = k[stays].view(G, most, D), v[stays].view(G, most, D)
            at, scores = at[stays].view(G, most), scores[stays].view(G, most)
        layer.k, layer.v, layer.index, layer.scores = k, v, at, scores
        group = query.shape[1] // k.shape[0]
        if remembers and torch.is_tensor(layer.n):
            k = torch.cat([k, (layer.keys / layer.n)[:, None]], 1)
            v = torch.cat([v, (layer.values / layer.n)[:, None]], 1)
        logits = query[0] @ k.repeat_interleave(group, 0).transpose(1, 2) * scaling
        if k.shape[1] > layer.k.shape[1]:
            logits[..., -1] += layer.n.log().repeat_interleave(group, 0) + REMAINDER_BIAS
        return (logits.softmax(-1) @ v.repeat_interleave(group, 0)).transpose(0, 1)[None].contiguous(), None

    def fold(self, standing):
        """Turns what is cached; standing [T]: where each token of the text stands. Returns where it then does."""
        folded = torch.where(standing < 2 * STRIDE, standing // 2, standing - STRIDE)
        for index, layer in enumerate(self.layers):
            layer.k = turn(self.model, index, layer.k, (folded - standing)[layer.index])
            if torch.is_tensor(layer.n):
                layer.keys = turn(self.model, index, layer.keys[:, None], torch.full((len(layer.n), 1), -STRIDE))[:, 0]
        return folded


def turn(model, index, k, by):
    """k [G, N, D] turned by `by` [G, N] positions, by the model's own rotary embedding."""
    if getattr(model.config, "no_rope_layers", None) and not model.config.no_rope_layers[index]:
        return k
    rotary = model.model.rotary_emb
    half = k.shape[-1] // 2
    if model.config.model_type == "phi3":
        # As as_winnow has it: dimensions that do not turn come last, and nothing is scaled.
        frequencies = torch.nn.functional.pad(rotary.inv_freq, (0, half - len(rotary.inv_freq)))
        angles = torch.cat([by[..., None] * frequencies] * 2, -1)
        return k * angles.cos() + torch.cat([-k[..., half:], k[..., :half]], -1) * angles.sin()
    kinds = getattr(model.config, "layer_types", None)
    args = (kinds[index],) if model.config.model_type.startswith("gemma3") else ()
    cos, sin = rotary(k, by, *args)
    return k * cos + torch.cat([-k[..., half:], k[..., :half]], -1) * sin


@torch.no_grad()
def losses(model, ids, run, known):
    endless = Endless(model, run, known)
    AttentionInterface.register("endless", endless)
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    ALL_MASK_ATTENTION_FUNCTIONS.register("endless", ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    model.set_attn_implementation("endless")
    standing = torch.zeros(0, dtype=torch.long)
    following, folds, nll = 0, 0, []
    for t, token in enumerate(ids[:-1]):
        if following == TRAINED:
            standing = endless.fold(standing)
            following, folds = following - STRIDE, folds + 1
        endless.t, endless.following = t, following
        out = model(torch.tensor([[token]]), position_ids=torch.tensor([[following]]), use_cache=False)
        nll.append(-out.logits[0, -1].double().log_softmax(-1)[ids[t + 1]].item())
        standing = torch.cat([standing, torch.tensor([following])])
        following += 1
    return nll, folds


def endless_fixture(path):
    name = os.path.basename(path).removeprefix("tiny-").removesuffix(".gguf")
    # Token by token, LongRoPE would have other divisors for what stands first.
    options = {"always_long": True} if name == "phi3" else {}
    model = load_family(path, name, **options) if name in FAMILIES else load(path)
    ids = sequence(model.config.vocab_size, TOKENS + 1)
    config = model.config
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shape = (config.num_hidden_layers, config.num_key_value_heads, head_dim)
    known = drawn_calibration(shape, config.num_attention_heads // config.num_key_value_heads)
    out = []
    for run in RUNS:
        nll, folds = losses(model, ids, run, known)
        means = torch.tensor(nll).view(-1, MEAN).mean(1)
        print(name, run, "folds", folds, "mean loss", means.mean().item(), flush=True)
        out.append({**run, "folds": folds, "means": [round(x, 5) for x in means.tolist()]})
    calibration = {key: [round(x, 4) for x in value.flatten().tolist()] for key, value in known.items()}
    return {"trained": TRAINED, "mean": MEAN, "calibration": calibration, "tokens": ids, "runs": out}


def endless_fixtures(root, write):
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(root, "tests", "reference", "tiny-model", "write-tiny.mjs")
        subprocess.run(["node", script, folder], check=True, cwd=root)
        for name in NAMES:
            write(f"endless-{name}.json", endless_fixture(os.path.join(folder, f"tiny-{name}.gguf")))
