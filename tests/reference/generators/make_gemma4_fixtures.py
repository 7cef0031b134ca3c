"""../../unit/fixtures/text-gemma4.json: a small vocabulary of Gemma 4's kind, and the ids of transformers' tokenizer for it.

    python tests/reference/generators/make_gemma4_fixtures.py

The vocabulary is trained here on our own sentences, with runs of newlines apart, as in Gemma's. `metadata` is what llama.cpp's
converter writes of such a tokenizer.
"""

import json

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import GemmaTokenizer

from make_text_fixtures import SENTENCES, hard_strings, well_formed, write

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
CONTROL = ["<|turn>", "<turn|>", "<|think|>"]
#: The converter calls those user-defined that an answer shall show.
SHOWN = ["<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
MORE = ["<turn|>\n<|turn>model\nSure.", "a<eos>b", "<|turn", "<|channel>thought\n", "x<tool_call|>y", "▁▁a ▁b", "a▁b", "<0x41>", "\n▁\n ▁", "漢<bos>字"]


def main():
    # Winnow never reads the spelling of the unknown token as that.
    strings = [text for text in dict.fromkeys(hard_strings() + MORE) if "<unk>" not in text]
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.Replace(" ", "▁")
    bpe.pre_tokenizer = pre_tokenizers.Split(Regex("\n+"), "isolated")
    trainer = trainers.BpeTrainer(vocab_size=600, show_progress=False)
    bpe.train_from_iterator(SENTENCES + ["a\n\nb\n\n\nc\n\n\n\nd  e   f    g\n"] * 4, trainer)
    learned = json.loads(bpe.to_str())["model"]
    merges = [tuple(merge) for merge in learned["merges"]]
    known = [*SPECIAL, *BYTES, *(token for token in learned["vocab"] if token not in SPECIAL + BYTES)]
    tokens = [*known, *CONTROL, *SHOWN]
    loaded = GemmaTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=merges)
    loaded.add_special_tokens({"additional_special_tokens": [*CONTROL, *SHOWN]})
    assert loaded.convert_tokens_to_ids(tokens) == [*range(len(tokens))]
    whole = loaded.backend_tokenizer
    spec = json.loads(whole.to_str())
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["content"] in SHOWN]
    plain = Tokenizer.from_str(json.dumps(spec))
    ids = lambda tokenizer, text: tokenizer.encode(well_formed(text), add_special_tokens=False).ids
    kind = lambda token: 2 if token == "<unk>" else 3 if token in SPECIAL + CONTROL else 4 if token in SHOWN else 6 if token in BYTES else 1
    metadata = {
        "tokenizer.ggml.model": "gemma4", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.scores": [-1000.0] * len(tokens),
        "tokenizer.ggml.token_type": [kind(token) for token in tokens], "tokenizer.ggml.merges": [" ".join(merge) for merge in merges],
        "tokenizer.ggml.bos_token_id": 2, "tokenizer.ggml.eos_token_id": 1, "tokenizer.ggml.unknown_token_id": 3,
        "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.add_space_prefix": False, "tokenizer.ggml.add_bos_token": True,
    }
    cases = [[text, ids(plain, text), ids(whole, text), plain.decode(ids(plain, text), skip_special_tokens=False)] for text in strings]
    write("../../unit/fixtures/text-gemma4.json", {"metadata": metadata, "cases": cases})


main()
