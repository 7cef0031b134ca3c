"""../../unit/fixtures/text-pipelines.json: tokenizer.json in its many forms, and the ids that `tokenizers` gives.

    python tests/reference/generators/make_tokenizer_fixtures.py

Two small vocabularies, trained here on our own sentences, are shared by all forms.
"""

import random

from make_text_fixtures import write
from tokenizer_specs import BEHAVIORS, REGEXES, TEXTS, cases, trained

MARK = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
LEGACY = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, MARK]}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
MARKS = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
STRIPPING = {"type": "Sequence", "decoders": [*MARKS, STRIP]}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte(**changes):
    return sequence({"type": "Split", "pattern": {"Regex": REGEXES[0]}, "behavior": "Isolated", "invert": False, **changes}, BYTES)


def forms():
    for scheme in ("first", "always", "never"):
        for cut in (True, False):
            yield f"Metaspace {scheme}, split {cut}", "marks", dict(
                pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut},
                decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut},
            )
    yield "Metaspace of before prepend_scheme", "marks", dict(
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}, decoder=STRIPPING
    )
    yield "Prepend and Replace", "marks", dict(normalizer=LEGACY, decoder=STRIPPING)
    yield "Gemma's", "marks", dict(normalizer=MARK, pre_tokenizer=split(" ", "MergedWithPrevious", kind="String"))
    yield "no byte fallback, unknown tokens fused", "marks", dict(normalizer=MARK, model=dict(byte_fallback=False, fuse_unk=True))
    yield "no byte fallback, unknown tokens each", "marks", dict(normalizer=MARK, model=dict(byte_fallback=False, fuse_unk=False))
    yield "nothing for what is unknown", "marks", dict(normalizer=MARK, model=dict(byte_fallback=False, unk_token=None))
    yield "ignore_merges", "byte", dict(pre_tokenizer=byte(), model=dict(ignore_merges=True))
    yield "ByteLevel alone", "byte", dict(pre_tokenizer={**BYTES, "use_regex": True})
    yield "ByteLevel with a space in front", "byte", dict(pre_tokenizer={**BYTES, "use_regex": True, "add_prefix_space": True})
    yield "ByteLevel as a normalizer", "byte", dict(normalizer={"type": "ByteLevel"})
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"):
        yield form, "byte", dict(normalizer={"type": form}, pre_tokenizer=byte())
    yield "Strip", "byte", dict(normalizer={"type": "Strip", "strip_left": True, "strip_right": False}, pre_tokenizer=byte())
    yield "a sequence of normalizers", "byte", dict(
        normalizer={"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " $0"}]},
        pre_tokenizer=byte(),
    )
    for i, regex in enumerate(REGEXES):
        yield f"expression {i}", "byte", dict(pre_tokenizer=sequence(split(regex), BYTES))
    for behavior in BEHAVIORS:
        for invert in (False, True):
            yield f"{behavior}, invert {invert}", "byte", dict(pre_tokenizer=sequence(split(r"\s|the", behavior, invert), BYTES))
    for behavior in BEHAVIORS:
        yield f"Punctuation, {behavior}", "byte", dict(pre_tokenizer=sequence({"type": "Punctuation", "behavior": behavior}, BYTES))
    for single in (False, True):
        yield f"Digits, single {single}", "byte", dict(pre_tokenizer=sequence({"type": "Digits", "individual_digits": single}, BYTES))
    for step in ({"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "CharDelimiterSplit", "delimiter": "-"}, {"type": "FixedLength", "length": 3}):
        yield step["type"], "byte", dict(pre_tokenizer=sequence(step, BYTES))
    for flag in ("single_word", "lstrip", "rstrip", "normalized"):
        yield f"added tokens: {flag}", "byte", dict(normalizer={"type": "Lowercase"}, pre_tokenizer=byte(), flags={flag: True})
        yield f"added tokens of marks: {flag}", "marks", dict(normalizer=LEGACY, flags={flag: True})


def main():
    rng = random.Random(5)
    vocabularies, names = {}, {}
    for kind, size in (("byte", 330), ("marks", 150)):
        learned = trained(rng, kind == "byte", size)
        first = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if kind == "marks" else [])
        names[kind] = first + [t for t in learned["vocab"] if t not in first]
        vocabularies[kind] = {"tokens": names[kind], "merges": learned["merges"]}
    out = []
    for name, kind, form in forms():
        given = form.pop("flags", {})
        model = {"unk_token": "<unk>", "byte_fallback": kind == "marks", "fuse_unk": True, "ignore_merges": False, **form.pop("model", {})}
        entry = lambda content, special, ident: {
            "id": ident, "content": content, "special": special, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, **given,
        }
        added = [entry(token, True, i) for i, token in enumerate(names[kind][:3])]
        added += [entry(token, False, len(names[kind]) + i) for i, token in enumerate(["<tag>", "tag", "TAG"])]
        decoder = {**BYTES, "add_prefix_space": True} if kind == "byte" else {"type": "Sequence", "decoders": MARKS}
        spec = {"version": "1.0", "added_tokens": added, "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": decoder, **form}
        whole = {**spec, "model": {"type": "BPE", "dropout": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, **model,
                 "vocab": {t: i for i, t in enumerate(names[kind])}, "merges": vocabularies[kind]["merges"]}}
        # A word that is a control token's spelling is text here, and a token there, where merges are ignored.
        texts = [t for t in TEXTS if not (model["ignore_merges"] and "<" in t)]
        out.append({"name": name, "vocabulary": kind, "spec": {**spec, "model": model}, "ids": [[t, plain] + ([special] if special != plain else []) for t, plain, special in cases(whole, texts)]})
    write("../../unit/fixtures/text-pipelines.json", {"vocabularies": vocabularies, "forms": out})


if __name__ == "__main__":
    main()
