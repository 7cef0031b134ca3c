"""../unit/fixtures/text-templates.json: conversations under templates in the forms of Llama 3, Qwen 2.5 and Qwen 3.

    python make_template_fixtures.py

needs ../unit/fixtures/text-byte-level.json (make_text_fixtures.py), whose vocabulary it takes, with each family's control
tokens added. The templates are written here: headers and ends of turns as the families have them, a default system text
(Qwen 2.5), a date in the system turn (Llama 3), trimmed contents, tool results given as user turns, thoughts left out of
answers before the last question (Qwen 3).
"""

import json

from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from make_text_fixtures import HERE, PRE, conversations, ids_of, write, with_pre

LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- else %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

QWEN2 = """{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are a helpful model.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

# The last question is looked for from the end; thoughts are kept behind it alone, and an answer may be asked for without.
QWEN3 = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set seen = namespace(open=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if seen.open and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set seen.open = false %}
        {%- set seen.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > seen.last and (loop.last or thought) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + content + '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

THINKING = "<think>\nHow does one say it?\n</think>\n\nHallo!"
THOUGHTFUL = [
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": THINKING}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": THINKING}, {"role": "user", "content": "And?"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": THINKING}, {"role": "tool", "content": "21"}, {"role": "tool", "content": "22"}],
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
        template=QWEN3, pre="qwen2", bos=None, eos="<|im_end|>", control=["<|object_ref_start|>"],
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
    base = json.loads((HERE / "../unit/fixtures/text-byte-level.json").read_text())
    write("../unit/fixtures/text-templates.json", {name: fixture(base, **family) for name, family in FAMILIES.items()})


if __name__ == "__main__":
    main()
