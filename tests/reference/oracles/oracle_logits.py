"""logits.json and qk.json: what the engine must compute with a full cache."""

import torch
from transformers import DynamicCache

from oracle_model import Llama, causal_attend

TOP, PROBES, GREEDY = 50, 500, 16

HARBOUR = (
    "The old harbour master kept a careful list of every ship that entered the bay: its name, its "
    "captain, the weather on the day it came, and the price of the fish it carried to the market."
)
CHAT = [
    {"role": "user", "content": "Name three things a gardener should do in early spring."},
    {
        "role": "assistant",
        "content": "Prune the fruit trees before the buds open, loosen the soil once it is dry "
        "enough to crumble, and sow peas and spinach, which do not mind a late frost.",
    },
    {
        "role": "user",
        "content": "My soil is heavy clay and stays wet until April. What would you change? "
        "Please keep it short, and tell me in which week to start.",
    },
]


def prompts(tokenizer, passage):
    """Five prompts of 1, 7, 40, 128 and 300 tokens; all text is our own."""
    harbour = tokenizer(HARBOUR)["input_ids"]
    chat = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    chat = tokenizer(chat)["input_ids"]
    chat += tokenizer(passage)["input_ids"]
    return [
        ("one token", tokenizer("The")["input_ids"][:1]),
        ("seven tokens", tokenizer("The capital of France is the city of")["input_ids"][:7]),
        ("a sentence", harbour[:40]),
        ("a chat with control tokens, then prose", chat[:128]),
        ("the passage", tokenizer(passage)["input_ids"][:300]),
    ]


def probe_ids(vocab, count=PROBES):
    """`count` distinct token ids, fixed for ever: a full-period linear congruence."""
    step = 7919
    return sorted((i * step + 13) % vocab for i in range(min(count, vocab)))


def r(x, digits=5):
    return [round(v, digits) for v in x.tolist()]


def describe(model, ids, top=TOP, greedy=GREEDY):
    with torch.no_grad():
        cache = DynamicCache(config=model.config)
        last = model(torch.tensor([ids]), cache=cache).logits[0, -1].double()
        best = last.topk(min(top, last.numel()))
        probes = probe_ids(last.numel())
        record = {
            "tokens": ids,
            "top": {"ids": best.indices.tolist(), "logits": r(best.values)},
            "probes": r(last[probes]),
            "logsumexp": round(torch.logsumexp(last, 0).item(), 5),
            "greedy": {"tokens": [], "margins": []},
        }
        logits = last
        for _ in range(greedy):
            two = logits.topk(2)
            record["greedy"]["tokens"].append(two.indices[0].item())
            record["greedy"]["margins"].append(round((two.values[0] - two.values[1]).item(), 5))
            logits = model(two.indices[:1][None], cache=cache).logits[0, -1].double()
    return record


def logits_fixture(model, tokenizer, passage):
    records = []
    for name, ids in prompts(tokenizer, passage):
        records.append({"name": name, **describe(model, ids)})
    return {"probe_ids": probe_ids(model.config.vocab_size), "prompts": records}


def qk_fixture(model, ids, layers=(0, 10, 29), positions=(0, 17, 39)):
    """Queries and keys after RoPE in transformers' half-split dimension order.

    A GGUF stores the rows of attn_q and attn_k in interleaved order: row 2i there is dimension i
    here and row 2i + 1 is dimension i + D/2.
    """
    vectors = []

    def attend(layer, q, k, v):
        if layer in layers:
            for p in positions:
                vectors.append(
                    {
                        "layer": layer,
                        "position": p,
                        "q": [r(x) for x in q[0, :, p]],
                        "k": [r(x) for x in k[0, :, p]],
                        "v": [r(x) for x in v[0, :, p]],
                    }
                )
        return causal_attend(layer, q, k, v)

    Llama(model).logits(torch.tensor([ids]), torch.arange(len(ids)), attend)
    return {"tokens": ids, "order": "half-split", "vectors": vectors}
