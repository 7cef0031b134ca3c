"""Random tokenizer.json files with small vocabularies, and what `tokenizers` makes of texts with them.

make_tokenizer_fixtures.py writes some as fixtures; run by itself it prints as many as are asked for, a JSON object a line:

    python tests/reference/generators/tokenizer_specs.py SEED COUNT
"""

import json
import random
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from make_text_fixtures import LLAMA3, QWEN2, SENTENCES

GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
POSSESSIVE = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
REGEXES = [LLAMA3, QWEN2, GPT4O, DEEPSEEK, POSSESSIVE, r"\p{N}{1,3}", r"\s+", r"\w+", r"[一-龥]+", r"(?=(\d{3})+(?!\d))", r"\d", "[\r\n]", r"\p{Han}+"]
STRINGS = [" ", "▁", "a", "the", ".", "\n", "--", "(", "$&", ""]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
TEXTS = [
    "", " ", "  ", "Hello there.", " Hello  world ", "the cat, the hat", "a", " a b  c   d", "1234 5678,90", "x=1;y--", "It's we'LL 'ſet",
    "\n", "line\nline\r\n\n  end", "\t tab", "Überall läuten", "E\u0301te\u0301 \u212b ﬁ Ⅳ", "İSTANBUL ΣΑΣ", "漢字 と かな 12", "😀👍🏽 ok",
    "<s>", "<s>Hello</s>", "a<s> b", "<s> <s>", "<tag>", "x<tag>y <tag> z", "tag_word tagword", "TAG tag", "▁▁a ▁b", "<unk>", "<0x41>", "[X] x[X]x",
    "a  <s>  b", "  <tag>  ", "naïve café", "q\u00a0r\u2003s\u3000t", "\u0085\ufeff", "the.the,the(the)", "0", "००१२", "½²", "a_b_c", "_tag_",
]


def flags(rng, content, special, ident):
    yes = lambda p: rng.random() < p
    return dict(
        id=ident, content=content, special=special, normalized=yes(0.5 if not special else 0.2),
        single_word=yes(0.3), lstrip=yes(0.3), rstrip=yes(0.3),
    )


def pattern(rng):
    return {"Regex": rng.choice(REGEXES)} if rng.random() < 0.7 else {"String": rng.choice(STRINGS)}


def split(rng):
    return {"type": "Split", "pattern": pattern(rng), "behavior": rng.choice(BEHAVIORS), "invert": rng.random() < 0.3}


def byte_level(rng, regex=None):
    use = rng.random() < 0.5 if regex is None else regex
    return {"type": "ByteLevel", "add_prefix_space": rng.random() < 0.3, "trim_offsets": rng.random() < 0.5, "use_regex": use}


def metaspace(rng):
    scheme = rng.choice(["always", "first", "never"])
    given = {"prepend_scheme": scheme, "split": rng.random() < 0.5} if rng.random() < 0.8 else {"add_prefix_space": True}
    return {"type": "Metaspace", "replacement": "▁", **given}


def other_step(rng):
    return rng.choice([
        lambda: {"type": "Digits", "individual_digits": rng.random() < 0.5},
        lambda: {"type": "Punctuation", "behavior": rng.choice(BEHAVIORS)},
        lambda: {"type": "Whitespace"},
        lambda: {"type": "WhitespaceSplit"},
        lambda: {"type": "CharDelimiterSplit", "delimiter": rng.choice(" -.a")},
        lambda: {"type": "FixedLength", "length": rng.randint(1, 5)},
        lambda: split(rng),
    ])()


def normalizer(rng, kind):
    step = lambda: rng.choice([
        {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"}, {"type": "StripAccents"},
        {"type": "Strip", "strip_left": rng.random() < 0.5, "strip_right": rng.random() < 0.5},
        {"type": "Replace", "pattern": {"String": rng.choice(STRINGS[:-1])}, "content": rng.choice(["", "▁", "$1", "b "])},
        {"type": "Replace", "pattern": {"Regex": rng.choice([r"\s+", r"\d", "[aeiou]"])}, "content": rng.choice(["", " ", "x"])},
        {"type": "Prepend", "prepend": rng.choice(["▁", " ", "ab"])},
    ])
    if kind == "legacy":
        return {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    if kind == "gemma":
        return {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    if rng.random() < 0.5:
        return None
    if rng.random() < 0.5:
        return step()
    return {"type": "Sequence", "normalizers": [step() for _ in range(rng.randint(1, 3))]}


def pre_tokenizer(rng, kind):
    if kind == "legacy":
        return None
    if kind == "gemma":
        return rng.choice([None, {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}])
    if kind == "metaspace":
        steps = [metaspace(rng)]
        if rng.random() < 0.3:
            steps.insert(0, other_step(rng))
        if rng.random() < 0.2:
            steps.append(other_step(rng))
    else:
        steps = [byte_level(rng)] if rng.random() < 0.3 else [split(rng), byte_level(rng, False)]
        if rng.random() < 0.4:
            steps.insert(0, other_step(rng))
    if len(steps) == 1 and rng.random() < 0.7:
        return steps[0]
    return {"type": "Sequence", "pretokenizers": steps}


def trained(rng, byte, size):
    """Vocabulary and merges learned from our own sentences."""
    bpe = Tokenizer(models.BPE())
    if byte:
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        bpe.normalizer = normalizers.Replace(" ", "▁")
        alphabet = []
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(rng.sample(SENTENCES, 6) + TEXTS[:9] * 2, trainer)
    return json.loads(bpe.to_str())["model"]


def specification(rng):
    kind = rng.choice(["byte", "byte", "metaspace", "metaspace", "legacy", "gemma"])
    byte = kind == "byte"
    learned = trained(rng, byte, rng.randint(280, 400) if byte else rng.randint(80, 220))
    if byte and rng.random() < 0.2:  # an alphabet with holes
        dropped = set(rng.sample(sorted(learned["vocab"]), 30))
        learned["merges"] = [m for m in learned["merges"] if not {m[0], m[1], m[0] + m[1]} & dropped]
        learned["vocab"] = {t: i for i, t in enumerate(t for t in learned["vocab"] if t not in dropped)}
    fallback = not byte and rng.random() < 0.6
    names = ["<unk>", "<s>", "</s>"] if rng.random() < 0.8 else ["<s>"]
    names += [f"<0x{b:02X}>" for b in range(256)] if fallback else []
    names += [t for t in learned["vocab"] if t not in names]
    vocab = {t: i for i, t in enumerate(names)}
    merges = learned["merges"] if rng.random() < 0.5 or any(" " in t for m in learned["merges"] for t in m) else [" ".join(m) for m in learned["merges"]]
    added = [flags(rng, t, True, vocab[t]) for t in ["<unk>", "<s>", "</s>"] if t in vocab and rng.random() < 0.9]
    for content in ["<tag>", "tag", "[X]", "▁▁", "TAG"]:
        if rng.random() < 0.4:
            # A control token that merges can make is text here, and a token there.
            special = content not in vocab and rng.random() < 0.2
            added.append(flags(rng, content, special, vocab.get(content, len(vocab) + len(added) + 5)))
    added.sort(key=lambda token: token["id"])
    # tokenizers gives ids of its own to tokens behind the vocabulary: in order, without gaps.
    for i, token in enumerate(t for t in added if t["content"] not in vocab):
        token["id"] = len(vocab) + i
    decoder = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True} if byte else {
        "type": "Sequence",
        "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
        + ([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if rng.random() < 0.5 else []),
    }
    normal, pre = normalizer(rng, kind), pre_tokenizer(rng, kind)
    # Of text that a normalizer has put in front, tokenizers takes every piece to be the first.
    if "Prepend" in json.dumps(normal) and '"first"' in json.dumps(pre):
        normal = None
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normal,
        "pre_tokenizer": pre, "post_processor": None, "decoder": decoder,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>" if "<unk>" in vocab and rng.random() < 0.8 else None,
            "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": rng.random() < 0.5, "byte_fallback": fallback,
            "ignore_merges": rng.random() < 0.3, "vocab": vocab, "merges": merges,
        },
    }


def text_of(rng):
    return "".join(rng.choice(TEXTS + SENTENCES) for _ in range(rng.randint(1, 4)))


def cases(spec, texts):
    """[text, ids with control tokens as text, ids with control tokens read]"""
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    out = []
    for text in texts:
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        out.append([text, plain, tokenizer.encode(text, add_special_tokens=False).ids])
    return out


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    for i in range(seed, seed + count):
        rng = random.Random(i)
        spec = specification(rng)
        try:
            found = cases(spec, TEXTS + [text_of(rng) for _ in range(30)])
        except Exception as error:
            print(f"{i}: {error}", file=sys.stderr)
            continue
        print(json.dumps({"seed": i, "spec": spec, "cases": found}))


if __name__ == "__main__":
    main()
