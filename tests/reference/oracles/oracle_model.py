"""The model the fixtures are made from: fp32 PyTorch on the dequantised weights of a GGUF.

`load` is transformers' own reader and model, with nothing of ours in between. `Llama` is the same
arithmetic written out with one hook, `attend`, which a cache simulation can replace; `check`
holds the two against each other before anything is written.
"""

import os

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def split(path):
    return os.path.dirname(os.path.abspath(path)), os.path.basename(path)


def load(path, **config):
    folder, name = split(path)
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager", **config
    )
    return model.eval()


def load_tokenizer(path):
    folder, name = split(path)
    return AutoTokenizer.from_pretrained(folder, gguf_file=name)


class Llama:
    """Llama forward with a pluggable attention. B sequences, M new tokens each."""

    def __init__(self, model):
        config = model.config
        self.model = model.model
        self.head = model.lm_head
        self.L = config.num_hidden_layers
        self.H = config.num_attention_heads
        self.G = config.num_key_value_heads
        self.D = getattr(config, "head_dim", None) or config.hidden_size // self.H
        theta = config.rope_parameters["rope_theta"]
        self.inv_freq = 1.0 / theta ** (torch.arange(0, self.D, 2, dtype=torch.float32) / self.D)
        # SmolLM3: 1 for a layer with RoPE, 0 for one without.
        self.turns = getattr(config, "no_rope_layers", None) or [1] * self.L

    def rope(self, x, positions, layer):
        """x [B, heads, M, D] in half-split order, positions [M]."""
        if not self.turns[layer]:
            return x
        angle = positions.float()[:, None] * self.inv_freq
        cos, sin = angle.cos(), angle.sin()
        a, b = x[..., : self.D // 2], x[..., self.D // 2 :]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    def heads(self, x, n):
        return x.view(x.shape[0], x.shape[1], n, self.D).transpose(1, 2)

    @torch.no_grad()
    def hidden(self, ids, positions, attend):
        """ids [B, M] -> hidden [B, M, E] before the head.

        attend(layer, q [B,H,M,D], k [B,G,M,D], v [B,G,M,D]) -> [B,H,M,D]; q and k after RoPE.
        """
        x = self.model.embed_tokens(ids)
        for index, layer in enumerate(self.model.layers):
            h = layer.input_layernorm(x)
            a = layer.self_attn
            q = self.rope(self.heads(a.q_proj(h), self.H), positions, index)
            k = self.rope(self.heads(a.k_proj(h), self.G), positions, index)
            v = self.heads(a.v_proj(h), self.G)
            o = attend(index, q, k, v).transpose(1, 2).reshape(x.shape[0], x.shape[1], -1)
            x = x + a.o_proj(o)
            h = layer.post_attention_layernorm(x)
            m = layer.mlp
            x = x + m.down_proj(F.silu(m.gate_proj(h)) * m.up_proj(h))
        return self.model.norm(x)

    def logits(self, ids, positions, attend):
        with torch.no_grad():
            return self.head(self.hidden(ids, positions, attend))


def grouped_attention(q, k, v, mask, remainder=None):
    """q [B,H,M,D], k and v [B,G,T,D], mask [B,G,M,T] bool (true = seen) or [M,T]; remainder: one more key and value
    [G,D] that every row sees, and what is added to its logits [G]."""
    B, H, M, D = q.shape
    G = k.shape[1]
    q = q.view(B, G, H // G, M, D)
    scores = torch.einsum("bgrmd,bgtd->bgrmt", q, k) * D**-0.5
    seen = mask if mask.dim() == 2 else mask[:, :, None]
    scores = scores.masked_fill(~seen, float("-inf"))
    if remainder is not None:
        key, value, bias = remainder
        more = torch.einsum("bgrmd,gd->bgrm", q, key) * D**-0.5 + bias[None, :, None, None]
        scores = torch.cat([scores, more[..., None]], -1)
        v = torch.cat([v, value[None, :, None].expand(B, -1, -1, -1)], 2)
    out = torch.einsum("bgrmt,bgtd->bgrmd", scores.softmax(-1), v)
    return out.reshape(B, H, M, D)


def causal_attend(_layer, q, k, v):
    M = q.shape[2]
    return grouped_attention(q, k, v, torch.ones(M, M, dtype=torch.bool).tril())


def check(model, ids):
    """Largest difference of our written-out forward to transformers' on one prompt."""
    x = torch.tensor([ids])
    with torch.no_grad():
        theirs = model(x).logits
    ours = Llama(model).logits(x, torch.arange(len(ids)), causal_attend)
    return (theirs - ours).abs().max().item()
