"""../../model/fixtures/hub-gemma3.json: a tiny Gemma 3 checkpoint as `transformers` saves it, and its logits.

    python tests/reference/generators/make_hub_fixtures.py

Weights are random (bf16), the tokenizer is trained here on our own sentences in the form that Gemma's tokenizer.json
has: BPE with byte fallback, spaces as U+2581, runs of spaces and lines as added tokens.
"""

import base64
import json
import os
import tempfile

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from make_text_fixtures import SENTENCES, write

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
RUNS = ["\n", "\n\n", "▁▁", "▁▁▁", "▁▁▁▁"]
TEXTS = ["Hello there.", "  two  spaces", "a" + " " * 7 + "b", "\n\n\nlines\n", "", " ", "日本 😀", "<end_of_turn>", *SENTENCES[:6]]


def tokenizer():
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Replace(" ", "▁")
    bpe.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    bpe.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    learned = bpe.__class__(models.BPE())
    learned.normalizer = bpe.normalizer
    learned.train_from_iterator(SENTENCES[:6], trainers.BpeTrainer(vocab_size=150, show_progress=False))
    spec, trained = json.loads(bpe.to_str()), json.loads(learned.to_str())["model"]
    names = SPECIAL + RUNS + [f"<0x{byte:02X}>" for byte in range(256)]
    names += [token for token in trained["vocab"] if token not in names]
    # Runs of spaces merge before all else, short ones first.
    merges = [["▁" * left, "▁" * (n - left)] for n in (2, 3, 4) for left in range(n - 1, 0, -1)]
    spec["model"]["vocab"] = {token: i for i, token in enumerate(names)}
    spec["model"]["merges"] = merges + [m for m in trained["merges"] if m not in merges]
    bpe = Tokenizer.from_str(json.dumps(spec))
    bpe.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    bpe.add_tokens([AddedToken(token, normalized=False) for token in RUNS])
    return bpe


def main():
    torch.manual_seed(3)
    bpe = tokenizer()
    config = Gemma3TextConfig(
        vocab_size=bpe.get_vocab_size(), hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=24, sliding_window=9, sliding_window_pattern=2,
        max_position_embeddings=256, eos_token_id=[1, 5],
    )
    model = Gemma3ForCausalLM(config).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            spread = 0.4 if "norm" in name else 1.4 * tensor.shape[-1] ** -0.5
            tensor.normal_(0, spread).copy_(tensor.bfloat16().float())
    ids = [2] + [(i * 37 + 5 * (i // 7) + 3) % config.vocab_size for i in range(24)]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    with tempfile.TemporaryDirectory() as folder:
        model.bfloat16().save_pretrained(folder)
        read = lambda name: open(os.path.join(folder, name), "rb").read()
        saved, weights = json.loads(read("config.json")), read("model.safetensors")
    write(
        "../../model/fixtures/hub-gemma3.json",
        {
            "config": saved,
            "weights": base64.b64encode(weights).decode(),
            "tokenizer": json.loads(bpe.to_str()),
            "tokens": ids,
            "logits": {p: [round(x, 5) for x in logits[p].tolist()] for p in (0, 12, 24)},
            "texts": [[text, bpe.encode(text, add_special_tokens=False).ids] for text in TEXTS],
        },
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
