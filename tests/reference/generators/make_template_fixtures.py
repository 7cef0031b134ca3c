"""../../unit/fixtures/text-templates.json: conversations under templates in the forms of Llama 3, Qwen 2.5 and Qwen 3.

    python make_template_fixtures.py

needs ../../unit/fixtures/text-byte-level.json (make_text_fixtures.py), whose vocabulary it takes, with each family's control
tokens added. The templates are jinja_templates.py's: headers and ends of turns as the families have them, a default system text
(Qwen 2.5), a date in the system turn (Llama 3), trimmed contents, tool results given as user turns, thoughts left out of
answers before the last question (Qwen 3).
"""

import json

from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from jinja_templates import LLAMA3_TOOLS, QWEN2, QWEN_TOOLS, THOUGHT
from make_text_fixtures import HERE, PRE, conversations, ids_of, write, with_pre

# The day of the system turn is the template's own, not the one of the run.
LLAMA3 = LLAMA3_TOOLS.replace("strftime_now is defined", "false")

THOUGHTFUL = [
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": THOUGHT}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": THOUGHT}, {"role": "user", "content": "And?"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": THOUGHT}, {"role": "tool", "content": "21"}, {"role": "tool", "content": "22"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<think>\n\n</think>\n\nHi."}],
    [{"role": "user", "content": "Code?"}, {"role": "assistant", "content": "<think>\n  so: \n</think>\n\n    return 1\n"}, {"role": "user", "content": "And?"}],
]

FAMILIES = {
    "llama3": dict(
        template=LLAMA3, pre="llama-bpe", bos="<|begin_of_text|>", eos="<|eot_id|>",
        control=["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"],
    ),
    "qwen2": dict(template=QWEN2, pre="qwen2", bos=None, eos="<|im_end|>", control=["<|object_ref_start|>"]),
    "qwen3": dict(
        template=QWEN_TOOLS, pre="qwen2", bos=None, eos="<|im_end|>", control=["<|object_ref_start|>"],
        more=[(chat, prompt) for chat in THOUGHTFUL for prompt in (True, False)],
    ),
}


def fixture(base, template, pre, bos, eos, control, more=()):
    metadata = base["metadata"]
    tokens = metadata["tokenizer.ggml.tokens"] + control
    types = metadata["tokenizer.ggml.token_type"] + [3] * len(control)
    merges = [tuple(line.split(" ")) for line in metadata["tokenizer.ggml.merges"]]
    bpe = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(t, normalized=False, special=True) for t, kind in zip(tokens, types) if kind == 3])
    bpe.add_tokens([AddedToken(t, normalized=False) for t, kind in zip(tokens, types) if kind == 4])
    bpe = with_pre(bpe, **PRE[pre])
    loaded = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=bos, eos_token=eos)
    loaded.chat_template = template
    chats = []
    for messages, prompt in [*conversations(), *more]:
        text = loaded.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        chats.append({"messages": messages, "prompt": prompt, "text": text, "ids": ids_of(bpe, text)})
    return {"template": template, "pre": pre, "control": control, "bos": bos, "eos": eos, "chats": chats}


def main():
    base = json.loads((HERE / "../../unit/fixtures/text-byte-level.json").read_text())
    write("../../unit/fixtures/text-templates.json", {name: fixture(base, **family) for name, family in FAMILIES.items()})


if __name__ == "__main__":
    main()
