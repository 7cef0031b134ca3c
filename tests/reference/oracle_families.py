"""tiny-*.json of the families beside plain Llama: transformers' own models, with eviction as a mask.

Static scores need keys alone, so a whole run under eviction is one forward pass: in each layer the
attention function sees all keys after RoPE, works out what every row still has, and masks the rest.
Layers with a sliding window are left as they are.
"""

import torch
from gguf import GGUFReader
from transformers import AttentionInterface
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from oracle_eviction import score
from oracle_model import load

#: Rows of `ropeScaling` in tiny-model.ts.
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def seen_rows(run, k, f, budget, step):
    """k [G, T, D] -> bool [G, T, T]: what row t attends to. step 1: append, evict, attend; else attend, evict."""
    G, T, _ = k.shape
    values = score(run["policy"], k, torch.arange(T), f)
    seen = torch.zeros(G, T, T, dtype=torch.bool)
    for g in range(G):
        kept = []
        for start in range(0, T, step):
            end = min(T, start + step)
            before = list(kept)
            kept += range(start, end)
            free = [p for p in kept if p >= run["sinks"] and p < end - run["window"]]
            free.sort(key=lambda p: (values[g, p].item(), p))
            for p in free[: max(0, len(kept) - budget)]:
                kept.remove(p)
            for t in range(start, end):
                seen[g, t, kept if step == 1 else before + list(range(start, t + 1))] = True
    return seen


class Masked:
    """An attention function for transformers; `run` None attends as the model would."""

    run = filters = budget = step = None
    #: Keys and values as pages hold them.
    half = False

    def __call__(self, module, query, key, value, attention_mask, scaling, **_):
        G = key.shape[1]
        group = query.shape[1] // G
        mask = attention_mask[0, 0, :, : key.shape[2]]
        mask = (mask == 0 if mask.is_floating_point() else mask).expand(G, -1, -1)
        if self.run and not getattr(module, "is_sliding", False):
            filters = self.filters[module.layer_idx]
            mask = mask & seen_rows(self.run, key[0], filters, self.budget, self.step)
        mask = mask.repeat_interleave(group, 0)[None]
        if self.half:
            key, value = key.half().float(), value.half().float()
        k, v = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
        logits = (query @ k.transpose(2, 3) * scaling).masked_fill(~mask, float("-inf"))
        return (logits.softmax(-1) @ v).transpose(1, 2).contiguous(), None


MASKED = Masked()


def load_family(path, name):
    """transformers' model of a GGUF; what its reader leaves out is put in from the definition."""
    # transformers leaves out Qwen 3's head size, which need not be E / H.
    keys = GGUFReader(path).fields
    head_dim = {"head_dim": keys["qwen3.attention.key_length"].contents()} if name == "qwen3" else {}
    model = load(path, **head_dim)
    config = model.config
    if name == "llama3":
        rope = {**config.rope_parameters, "rope_type": "llama3", **LLAMA3}
        config.rope_parameters = rope
        model.model.rotary_emb = LlamaRotaryEmbedding(config)
    if config.model_type.startswith("gemma3"):
        sliding = [kind == "sliding_attention" for kind in config.layer_types]
        assert sliding == [(i + 1) % 6 != 0 for i in range(config.num_hidden_layers)], sliding
        bases = {kind: rope["rope_theta"] for kind, rope in config.rope_parameters.items()}
        assert bases == {"full_attention": 1e6, "sliding_attention": 1e4}, bases
        assert config.query_pre_attn_scalar == config.head_dim, config.query_pre_attn_scalar
        assert config.hidden_activation == "gelu_pytorch_tanh"
    return model


def use_masked(model):
    AttentionInterface.register("masked", MASKED)
    # transformers builds the masks of an attention function by its name: those of eager ones.
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    ALL_MASK_ATTENTION_FUNCTIONS.register("masked", ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    model.set_attn_implementation("masked")


@torch.no_grad()
def losses(model, ids, run=None, filters=None, budget=None, step=None):
    MASKED.run, MASKED.filters, MASKED.budget, MASKED.step = run, filters, budget, step
    logits = model(torch.tensor([ids]), use_cache=False).logits[0].double()
    MASKED.run = None
    return -logits.log_softmax(-1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]


@torch.no_grad()
def logits_of_half_pages(model, ids):
    """[T, V] with keys and values rounded to f16 after RoPE: what remains to differ is the order of sums."""
    use_masked(model)
    MASKED.half = True
    logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    MASKED.half = False
    return logits


def simulate_masked(model, ids, filters, runs, budget, step):
    out = []
    for run in runs:
        nll = losses(model, ids, run, filters, budget, step)
        print(run, "budget", budget, "step", step, "mean loss", nll.mean().item(), flush=True)
        out.append({**run, "mean": round(nll.mean().item(), 6), "nll": [round(x, 5) for x in nll.tolist()]})
    return out
