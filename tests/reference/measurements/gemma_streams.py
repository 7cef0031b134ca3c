"""Gemma 3 for streams.py: `attend` is asked at the layers without a window; layers with one keep its latest keys and values."""

import torch
import torch.nn.functional as F


class GemmaModel:
    """Queries and keys are given to `attend` after their norms, before RoPE. All in f32."""

    def __init__(self, model, turn):
        c = model.config
        self.H, self.G, self.D = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        if c.query_pre_attn_scalar != self.D:
            raise SystemExit("queries are scaled by another number than the size of heads")
        self.eps, self.window, self.scale, self.turned = c.rms_norm_eps, c.sliding_window, c.hidden_size**0.5, turn
        low = lambda *w: torch.cat([x.weight for x in w]).detach()
        gain = lambda norm: 1 + norm.weight.detach()
        self.embedding = model.model.embed_tokens.weight.detach()
        self.head, self.norm = low(model.lm_head), gain(model.model.norm)
        self.layers = []
        for layer in model.model.layers:
            a, m = layer.self_attn, layer.mlp
            norms = (layer.input_layernorm, layer.post_attention_layernorm, layer.pre_feedforward_layernorm, layer.post_feedforward_layernorm)
            products = low(a.q_proj, a.k_proj, a.v_proj), low(a.o_proj), low(m.gate_proj, m.up_proj), low(m.down_proj)
            self.layers.append((*map(gain, (*norms, a.q_norm, a.k_norm)), *products))
        self.slides = [kind == "sliding_attention" for kind in c.layer_types]
        self.L = self.slides.count(False)
        rope = lambda kind: 1.0 / c.rope_parameters[kind]["rope_theta"] ** (torch.arange(0, self.D, 2, dtype=torch.float64) / self.D)
        self.frequencies, self.near = rope("full_attention"), rope("sliding_attention")

    def turn(self, x, by, frequencies=None):
        return self.turned(x, by, self.frequencies if frequencies is None else frequencies)

    def reader(self):
        return Reader(self)

    def logp(self, hidden):
        return F.linear(hidden, self.head).log_softmax(-1)


class Reader:
    """A text that is read in pieces, by one or more runs: what windows hold, {layer: [K, V]}, each [B, G, n, D]."""

    def __init__(self, model):
        self.model, self.held, self.seen = model, {}, 0

    def near(self, layer, q, k, v):
        """Attention within the window."""
        m, M = self.model, q.shape[2]
        at = torch.arange(self.seen, self.seen + M)
        q, k = m.turn(q, at.expand(q.shape[:3]), m.near), m.turn(k, at.expand(k.shape[:3]), m.near)
        if layer in self.held:
            k, v = (torch.cat(pair, 2) for pair in zip(self.held[layer], (k, v)))
        n = k.shape[2]
        self.held[layer] = [x[:, :, -(m.window - 1) :] for x in (k, v)]
        distance = at[:, None] - torch.arange(self.seen + M - n, self.seen + M)
        mask = (distance >= 0) & (distance < m.window)
        k, v = (x.repeat_interleave(m.H // m.G, 1) for x in (k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def hidden(self, ids, attend):
        """ids [B, M] -> [B, M, E]; attend(layer without a window, q [B,H,M,D], k [B,G,M,D], v) -> [B,H,M,D]"""
        m = self.model
        B, M = ids.shape
        linear = F.linear
        rms = lambda x, w: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + m.eps) * w
        x, far = m.embedding[ids] * m.scale, 0
        for i, (first, after, second, last, qn, kn, qkv, o, up, down) in enumerate(m.layers):
            h = linear(rms(x, first), qkv).view(B, M, m.H + 2 * m.G, m.D).transpose(1, 2)
            q, k, v = h.split([m.H, m.G, m.G], 1)
            q, k = rms(q, qn), rms(k, kn)
            out = self.near(i, q, k, v) if m.slides[i] else attend(far, q, k, v)
            far += not m.slides[i]
            x = x + rms(linear(out.transpose(1, 2).reshape(B, M, -1), o), after)
            gate, value = linear(rms(x, second), up).chunk(2, -1)
            x = x + rms(linear(F.gelu(gate, approximate="tanh") * value, down), last)
        self.seen += M
        return rms(x, m.norm)
