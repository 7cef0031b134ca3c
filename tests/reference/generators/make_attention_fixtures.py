"""Writes tests/kernels/fixtures/attention.json: torch's scaled_dot_product_attention and the rotary embedding
of transformers' Llama, which the CPU twins must equal.

    python tests/reference/generators/make_attention_fixtures.py
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

torch.set_num_threads(1)
torch.manual_seed(1)


def numbers(x: torch.Tensor) -> list:
    """Inputs are multiples of 2^-6, so JSON and f16 hold them exactly."""
    return x.tolist()


def draw(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return (torch.randn(*shape, dtype=torch.float64) * scale * 64).round() / 64


def attention(heads: int, kv_heads: int, dim: int, cached: int, rows: int, scale: float) -> dict:
    """`rows` causal queries after `cached` keys that all of them see."""
    q = draw(heads, rows, dim, scale=scale)
    k = draw(kv_heads, cached + rows, dim, scale=scale)
    v = draw(kv_heads, cached + rows, dim)
    mask = torch.arange(cached + rows)[None, :] <= cached + torch.arange(rows)[:, None]
    out = scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask, enable_gqa=True)[0]
    return {"cached": cached, "q": numbers(q), "k": numbers(k), "v": numbers(v), "out": numbers(out)}


def rotary(dim: int, theta: float, positions: list[int]) -> dict:
    config = LlamaConfig(
        hidden_size=dim,
        num_attention_heads=1,
        head_dim=dim,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        max_position_embeddings=131072,
    )
    embedding = LlamaRotaryEmbedding(config)
    x = draw(1, 1, len(positions), dim).float()
    cos, sin = embedding(x, torch.tensor([positions]))
    turned, _ = apply_rotary_pos_emb(x, x, cos, sin)
    return {"theta": theta, "positions": positions, "x": numbers(x[0, 0]), "out": numbers(turned[0, 0])}


fixture = {
    "attention": [
        attention(heads=2, kv_heads=1, dim=8, cached=3, rows=1, scale=1),
        attention(heads=6, kv_heads=2, dim=16, cached=0, rows=5, scale=1),
        attention(heads=2, kv_heads=2, dim=16, cached=7, rows=4, scale=30),
    ],
    "rotary": [
        rotary(dim=16, theta=10000.0, positions=[0, 1, 2, 63, 255, 256, 1000]),
        rotary(dim=64, theta=100000.0, positions=[5, 2047]),
    ],
}
target = Path(__file__).parents[2] / "kernels" / "fixtures" / "attention.json"
target.parent.mkdir(exist_ok=True)
target.write_text(json.dumps(fixture) + "\n")
print(target.name, target.stat().st_size, "bytes")
