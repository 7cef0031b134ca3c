"""tiny-*.json of the families beside plain Llama: transformers' own models, with eviction as a mask.

Static scores need keys alone, so a whole run under eviction is one forward pass: in each layer the
attention function sees all keys after RoPE, works out what every row still has, and masks the rest.
Layers with a sliding window are left as they are.
"""

import torch
from gguf import GGUFReader, dequantize
from transformers import AttentionInterface, Gemma4ForCausalLM, Gemma4TextConfig, GraniteConfig, GraniteForCausalLM, Lfm2Config, Lfm2ForCausalLM
from transformers import Ministral3Config, Ministral3ForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen3_5ForCausalLM, Qwen3_5TextConfig, SmolLM3Config, SmolLM3ForCausalLM
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


def cached_layers(config, end=None):
    """How many of the first layers (default: of all) hold keys and values."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    kinds = kinds[: len(kinds) - getattr(config, "num_kv_shared_layers", 0)]
    return sum(kind not in ("conv", "linear_attention") for kind in kinds[:end])


def cache_of(module):
    """Which of the layers that hold keys and values has those of an attention layer: that of its kind that it borrows from."""
    config, layer = module.config, module.layer_idx
    own = cached_layers(config)
    if not getattr(config, "num_kv_shared_layers", 0) or layer < own:
        return cached_layers(config, layer)
    return max(i for i in range(own) if config.layer_types[i] == config.layer_types[layer])


def as_winnow(config, query, key):
    """Queries and keys after RoPE with what turns in the pairs (i, i + D/2), and keys without LongRoPE's factor."""
    if config.model_type not in ("phi3", "qwen3_5_text"):
        return query, key
    D = key.shape[-1]
    R = int(D * config.rope_parameters.get("partial_rotary_factor", 1))
    order = [*range(R // 2), *range(R, (D + R) // 2), *range(R // 2, R), *range((D + R) // 2, D)]
    factor = config.rope_parameters.get("attention_factor", 1)
    scale = torch.tensor([factor if d < R else 1 for d in range(D)])
    return (query * scale)[..., order], (key / scale)[..., order]


def slides(module):
    """Whether the layer sees its last tokens alone: Phi 3 has no word for it in a layer."""
    return getattr(module, "is_sliding", module.config.model_type == "phi3" and module.config.sliding_window is not None)


class Masked:
    """An attention function for transformers; `run` None attends as the model would."""

    run = filters = budget = step = None

    def __call__(self, module, query, key, value, attention_mask, scaling, **_):
        query, key = as_winnow(module.config, query, key)
        G = key.shape[1]
        group = query.shape[1] // G
        mask = attention_mask[0, 0, :, : key.shape[2]]
        mask = (mask == 0 if mask.is_floating_point() else mask).expand(G, -1, -1)
        if self.run and not slides(module):
            filters = self.filters[cache_of(module)]
            mask = mask & seen_rows(self.run, key[0], filters, self.budget, self.step)
        mask = mask.repeat_interleave(group, 0)[None]
        k, v = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
        logits = (query @ k.transpose(2, 3) * scaling).masked_fill(~mask, float("-inf"))
        return (logits.softmax(-1) @ v).transpose(1, 2).contiguous(), None


MASKED = Masked()


def load_lfm2(path):
    """transformers' GGUF reader takes heads of E / H alone: the weights by the `gguf` package."""
    reader = GGUFReader(path)
    key = lambda name: reader.fields[f"lfm2.{name}"].contents()
    weights = {t.name: torch.tensor(dequantize(t.data, t.tensor_type)) for t in reader.tensors}
    kv_heads = key("attention.head_count_kv")
    vocab, hidden = weights["token_embd.weight"].shape
    config = Lfm2Config(
        vocab_size=vocab, hidden_size=hidden, intermediate_size=key("feed_forward_length"), num_hidden_layers=key("block_count"),
        num_attention_heads=key("attention.head_count"), num_key_value_heads=max(kv_heads), max_position_embeddings=4096,
        norm_eps=key("attention.layer_norm_rms_epsilon"), tie_word_embeddings="output.weight" not in weights,
        rope_parameters={"rope_type": "default", "rope_theta": key("rope.freq_base")}, pad_token_id=None,
        conv_L_cache=key("shortconv.l_cache"), block_auto_adjust_ff_dim=False,
        layer_types=["full_attention" if count else "conv" for count in kv_heads],
    )
    config.head_dim = key("attention.key_length")
    model = Lfm2ForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    names = {
        "attn_norm": "operator_norm", "ffn_norm": "ffn_norm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj", "attn_output": "self_attn.out_proj", "attn_q_norm": "self_attn.q_layernorm",
        "attn_k_norm": "self_attn.k_layernorm", "shortconv.in_proj": "conv.in_proj", "shortconv.conv": "conv.conv",
        "shortconv.out_proj": "conv.out_proj", "ffn_gate": "feed_forward.w1", "ffn_up": "feed_forward.w3", "ffn_down": "feed_forward.w2",
    }
    state = {"model.embed_tokens.weight": weights.pop("token_embd.weight"), "model.embedding_norm.weight": weights.pop("token_embd_norm.weight")}
    state["lm_head.weight"] = weights.pop("output.weight", state["model.embed_tokens.weight"])
    for name, tensor in weights.items():
        _, layer, part = name.removesuffix(".weight").split(".", 2)
        # PyTorch has a dimension for the channels that each filter sees: one.
        state[f"model.layers.{layer}.{names[part]}.weight"] = tensor[:, None] if part == "shortconv.conv" else tensor
    model.load_state_dict(state)
    return model


LLAMA_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def read_gguf(path, family):
    """What looks up a family's keys, the weights by the `gguf` package, and what configurations have in common."""
    reader = GGUFReader(path)

    def key(name):
        return reader.fields[f"{family}.{name}"].contents()

    weights = {t.name: torch.tensor(dequantize(t.data, t.tensor_type)) for t in reader.tensors}
    vocab, hidden = weights["token_embd.weight"].shape
    common = {
        "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": key("feed_forward_length"),
        "num_hidden_layers": key("block_count"), "num_attention_heads": key("attention.head_count"),
        "num_key_value_heads": key("attention.head_count_kv"), "rms_norm_eps": key("attention.layer_norm_rms_epsilon"),
        "tie_word_embeddings": "output.weight" not in weights, "pad_token_id": None,
    }
    return key, weights, common


def with_weights(model, weights, names, change=lambda part, tensor: tensor):
    state = {"model.embed_tokens.weight": weights.pop("token_embd.weight"), "model.norm.weight": weights.pop("output_norm.weight")}
    state["lm_head.weight"] = weights.pop("output.weight", state["model.embed_tokens.weight"])
    for name, tensor in weights.items():
        if name.startswith("rope_"):
            continue
        _, layer, part = name.removesuffix(".weight").split(".", 2)
        state[f"model.layers.{layer}.{names[part]}.weight"] = change(part, tensor)
    model.load_state_dict(state)
    return model.eval()


def half_split_rows(D):
    """Rows of Q and K from the order of interleaved RoPE."""

    def change(part, w):
        return w.view(-1, D // 2, 2, w.shape[1]).transpose(1, 2).reshape(w.shape) if part in ("attn_q", "attn_k") else w

    return change


def load_smollm3(path):
    key, weights, common = read_gguf(path, "smollm3")
    config = SmolLM3Config(
        **common, max_position_embeddings=4096, no_rope_layer_interval=4,
        rope_parameters={"rope_type": "default", "rope_theta": key("rope.freq_base")},
    )
    D = key("attention.key_length")
    assert config.no_rope_layers[:4] == [1, 1, 1, 0] and config.hidden_size == config.num_attention_heads * D
    model = SmolLM3ForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32)
    return with_weights(model, weights, LLAMA_NAMES, half_split_rows(D))


def load_granite(path):
    key, weights, common = read_gguf(path, "granite")
    config = GraniteConfig(
        **common, max_position_embeddings=4096, rope_parameters={"rope_type": "default", "rope_theta": key("rope.freq_base")},
        embedding_multiplier=key("embedding_scale"), residual_multiplier=key("residual_scale"),
        attention_multiplier=key("attention.scale"), logits_scaling=key("logit_scale"),
    )
    config.head_dim = D = key("attention.key_length")
    model = GraniteForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32)
    return with_weights(model, weights, LLAMA_NAMES, half_split_rows(D))


def load_mistral3(path):
    key, weights, common = read_gguf(path, "mistral3")
    D = key("attention.key_length")
    config = Ministral3Config(
        **common, head_dim=D, max_position_embeddings=4096,
        rope_parameters={
            "rope_type": "yarn", "rope_theta": key("rope.freq_base"), "factor": key("rope.scaling.factor"),
            "original_max_position_embeddings": key("rope.scaling.original_context_length"), "beta_fast": key("rope.scaling.yarn_beta_fast"),
            "beta_slow": key("rope.scaling.yarn_beta_slow"), "mscale": 1.0, "mscale_all_dim": key("rope.scaling.yarn_log_multiplier"),
            "llama_4_scaling_beta": key("attention.temperature_scale"),
        },
    )
    model = Ministral3ForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32)
    return with_weights(model, weights, LLAMA_NAMES, half_split_rows(D))


def load_phi3(path, always_long=False):
    """`always_long`: whatever stands first, as where one token is run at a time."""
    key, weights, common = read_gguf(path, "phi3")
    D = key("attention.key_length")
    rope = {"rope_type": "default", "rope_theta": key("rope.freq_base"), "partial_rotary_factor": key("rope.dimension_count") / D}
    if "rope_factors_long.weight" in weights:
        long = weights["rope_factors_long.weight"].tolist()
        rope |= {
            "rope_type": "longrope", "long_factor": long, "short_factor": long if always_long else weights["rope_factors_short.weight"].tolist(),
            "attention_factor": key("rope.scaling.attn_factor"),
            "original_max_position_embeddings": key("rope.scaling.original_context_length"),
        }
    window = {"sliding_window": key("attention.sliding_window")} if "phi3.attention.sliding_window" in GGUFReader(path).fields else {}
    config = Phi3Config(
        **common, **window, max_position_embeddings=4096, rope_parameters=rope,
        original_max_position_embeddings=rope.get("original_max_position_embeddings", 4096),
    )
    config.head_dim = D
    model = Phi3ForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32)
    return with_weights(model, weights, {**LLAMA_NAMES, "ffn_up": "mlp.gate_up_proj"})


QWEN35_NAMES = {
    **LLAMA_NAMES, "post_attention_norm": "post_attention_layernorm", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "attn_qkv": "linear_attn.in_proj_qkv", "attn_gate": "linear_attn.in_proj_z", "ssm_beta": "linear_attn.in_proj_b",
    "ssm_alpha": "linear_attn.in_proj_a", "ssm_conv1d": "linear_attn.conv1d", "ssm_norm": "linear_attn.norm", "ssm_out": "linear_attn.out_proj",
}


def load_qwen35(path):
    """From what llama.cpp's converter writes."""
    key, weights, common = read_gguf(path, "qwen35")
    D, dim = key("attention.key_length"), key("ssm.state_size")
    key_heads, value_heads = key("ssm.group_count"), key("ssm.time_step_rank")
    interval = key("full_attention_interval")
    config = Qwen3_5TextConfig(
        **common, head_dim=D, max_position_embeddings=4096, linear_conv_kernel_dim=key("ssm.conv_kernel"),
        linear_key_head_dim=dim, linear_value_head_dim=dim, linear_num_key_heads=key_heads, linear_num_value_heads=value_heads,
        rope_parameters={
            "rope_type": "default", "rope_theta": key("rope.freq_base"), "partial_rotary_factor": key("rope.dimension_count") / D,
            "mrope_section": [1, 1, 1],
        },
        layer_types=["linear_attention" if (i + 1) % interval else "full_attention" for i in range(key("block_count"))],
    )
    model = Qwen3_5ForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32)
    # In a GGUF value heads take the key heads in turns; in PyTorch those of a key head stand together.
    order = torch.arange(value_heads).view(value_heads // key_heads, key_heads).T.flatten()
    wide = (order[:, None] * dim + torch.arange(dim)).flatten()
    mixed = torch.cat([torch.arange(2 * key_heads * dim), 2 * key_heads * dim + wide])
    rows = {"attn_qkv": mixed, "ssm_conv1d": mixed, "attn_gate": wide, "ssm_beta": order, "ssm_alpha": order}
    state = {"model.embed_tokens.weight": weights.pop("token_embd.weight"), "model.norm.weight": weights.pop("output_norm.weight") - 1}
    state["lm_head.weight"] = weights.pop("output.weight", state["model.embed_tokens.weight"])
    for name, tensor in weights.items():
        _, layer, part = name.removesuffix(".weight").split(".", 2)
        layer = f"model.layers.{layer}"
        if part == "ssm_a":
            state[f"{layer}.linear_attn.A_log"] = (-tensor[order]).log()
        elif part == "ssm_dt.bias":
            state[f"{layer}.linear_attn.dt_bias"] = tensor[order]
        elif part == "ssm_out":
            state[f"{layer}.linear_attn.out_proj.weight"] = tensor[:, wide]
        else:
            tensor = tensor[rows[part]] if part in rows else tensor
            # Norms multiply by 1 + w there, but for that of what DeltaNet reads.
            tensor = tensor - 1 if part.endswith("norm") and part != "ssm_norm" else tensor
            state[f"{layer}.{QWEN35_NAMES[part]}.weight"] = tensor[:, None] if part == "ssm_conv1d" else tensor
    model.load_state_dict(state)
    return model.eval()


GEMMA4_NAMES = {
    **LLAMA_NAMES, "ffn_norm": "pre_feedforward_layernorm", "post_attention_norm": "post_attention_layernorm", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "post_ffw_norm": "post_feedforward_layernorm", "inp_gate": "per_layer_input_gate",
    "proj": "per_layer_projection", "post_norm": "post_per_layer_input_norm",
}


def load_gemma4(path):
    key, weights, common = read_gguf(path, "gemma4")
    mlps, shared, size = key("feed_forward_length"), key("attention.shared_kv_layers"), key("embedding_length_per_layer_input")
    D, factors = key("attention.key_length"), weights.pop("rope_freqs.weight")
    assert mlps == [mlps[0]] * (len(mlps) - shared) + [2 * mlps[0]] * shared
    assert ((factors == 1) | (factors == 1e30)).all()
    common["intermediate_size"] = mlps[0]
    # The file has the window inclusive of the token itself, as transformers has it.
    config = Gemma4TextConfig(
        **common, head_dim=key("attention.key_length_swa"), global_head_dim=D, max_position_embeddings=4096, num_kv_shared_layers=shared,
        use_double_wide_mlp=True, hidden_size_per_layer_input=size, vocab_size_per_layer_input=common["vocab_size"],
        sliding_window=key("attention.sliding_window"), final_logit_softcapping=key("final_logit_softcapping"),
        layer_types=["sliding_attention" if local else "full_attention" for local in key("attention.sliding_window_pattern")],
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": key("rope.freq_base_swa")},
            "full_attention": {
                "rope_type": "proportional", "rope_theta": key("rope.freq_base"), "partial_rotary_factor": 2 * (factors == 1).sum().item() / D,
            },
        },
    )
    model = Gemma4ForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32)
    state = {
        "model.embed_tokens.weight": weights.pop("token_embd.weight"), "model.norm.weight": weights.pop("output_norm.weight"),
        "model.embed_tokens_per_layer.weight": weights.pop("per_layer_token_embd.weight"),
        "model.per_layer_model_projection.weight": weights.pop("per_layer_model_proj.weight"),
        "model.per_layer_projection_norm.weight": weights.pop("per_layer_proj_norm.weight"),
    }
    state["lm_head.weight"] = weights.pop("output.weight", state["model.embed_tokens.weight"])
    for name, tensor in weights.items():
        _, layer, part = name.removesuffix(".weight").split(".", 2)
        name = "layer_scalar" if part == "layer_output_scale" else f"{GEMMA4_NAMES[part]}.weight"
        state[f"model.layers.{layer}.{name}"] = tensor
    model.load_state_dict(state)
    model.config.global_head_dim = D
    return model.eval()


def load_family(path, name, **options):
    """transformers' model of a GGUF; what its reader leaves out is put in from the definition."""
    if name == "granite":
        return load_granite(path)
    if name.startswith("phi3"):
        return load_phi3(path, **options)
    if name == "mistral3":
        return load_mistral3(path)
    if name == "smollm3":
        return load_smollm3(path)
    if name == "lfm2":
        return load_lfm2(path)
    if name == "qwen35":
        return load_qwen35(path)
    if name == "gemma4":
        return load_gemma4(path)
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
def simulate_masked(model, ids, filters, runs, budget, step):
    out = []
    for run in runs:
        nll = losses(model, ids, run, filters, budget, step)
        print(run, "budget", budget, "step", step, "mean loss", nll.mean().item(), flush=True)
        out.append({**run, "mean": round(nll.mean().item(), 6), "nll": [round(x, 5) for x in nll.tolist()]})
    return out
