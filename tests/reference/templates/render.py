"""Renders many conversations under every template of a folder, as transformers' apply_chat_template does; JSON on stdout.

    python render.py FOLDER

A template is NAME.jinja, or the chat_template of NAME.json (a tokenizer_config.json, whose names of tokens it takes). compare.mjs
runs this and holds our renderer to it. The clock stands at NOW.
"""

import json
import sys
from datetime import datetime
from pathlib import Path

from transformers.utils import chat_template_utils

NOW = datetime(2025, 9, 3, 7, 5, 9)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


class Clock:
    @staticmethod
    def now():
        return NOW


def tool(name, properties, **more):
    parameters = {"type": "object", "properties": properties, **more}
    return {"type": "function", "function": {"name": name, "description": f"Does {name}: “é” <b>&'\"\\", "parameters": parameters}}


WEATHER = tool(
    "get_weather",
    {
        "city": {"type": "string", "description": "Where.\nA town."},
        "unit": {"type": "string", "enum": ["c", "f"]},
        "days": {"type": "integer", "minimum": 1, "default": 2},
    },
    required=["city"],
)
DEEP = tool(
    "deep.call-1",
    {
        "items": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": ["string", "null"]}}}},
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "flag": {"type": "boolean", "nullable": True},
        "when": {"$ref": "#/$defs/when"},
    },
    required=["items", "flag"],
    additionalProperties=False,
    **{"$defs": {"when": {"type": "string", "format": "date"}}},
)
NOTHING = tool("now", {})
TOOLS = {"none": None, "one": [WEATHER], "all": [WEATHER, DEEP, NOTHING]}

ARGUMENTS = {
    "plain": {"city": "Paris", "days": 3},
    "empty": {},
    "unicode": {"city": "São Paulo – “雨” 🌧 <&'\"\\", "days": -1.5e-7},
    "nested": {"items": [{"x": 1, "y": None}, {"x": 2.5, "y": "a\nb\t\"c\""}, [], {}], "flag": True, "off": False, "nothing": None},
    "markers": {"city": "</tool_call>\n<|im_end|> {{ x }} {% if %}"},
    "spaces": {"city": "  two \n lines  \n", "a b": "c"},
}


def call(name, arguments, key="abc123def", as_text=False):
    given = json.dumps(arguments, ensure_ascii=False) if as_text else arguments
    return {"id": key, "type": "function", "function": {"name": name, "arguments": given}}


def says(role, content, **more):
    return {"role": role, "content": content, **more}


def part(text):
    return [{"type": "text", "text": text}]


SYSTEM = says("system", "Be brief.  \n")
USER = says("user", "Is it warm in Paris? 雨 <&'\"")
THOUGHT = "<think>\nThey ask.\n\nSo: 2 < 3\n</think>\n\nIt is."


def conversations():
    yield "user", [USER]
    yield "system and user", [SYSTEM, USER]
    yield "empty system", [says("system", ""), USER]
    yield "empty user", [says("user", "")]
    yield "turns", [USER, says("assistant", " It is. \n"), says("user", "\nThanks\n")]
    yield "system and turns", [SYSTEM, USER, says("assistant", "It is."), says("user", "Thanks")]
    yield "answer last", [USER, says("assistant", "It is.")]
    yield "prefix of an answer", [SYSTEM, USER, says("assistant", "It")]
    yield "no turns", []
    yield "system alone", [SYSTEM]
    yield "two of the user", [USER, USER]
    yield "late system", [USER, says("assistant", "Yes."), SYSTEM, USER]
    yield "developer", [says("developer", "Be brief."), USER]
    yield "unknown role", [USER, says("judge", "Guilty.")]
    yield "thought", [USER, says("assistant", THOUGHT), says("user", "And?")]
    yield "thought last", [USER, says("assistant", THOUGHT)]
    yield "empty thought", [USER, says("assistant", "<think>\n\n</think>\n\nYes."), says("user", "And?")]
    yield "reasoning", [USER, says("assistant", "It is.", reasoning_content="They ask.\n"), says("user", "And?"), says("assistant", "Too.", reasoning_content="Again")]
    yield "/no_think", [says("system", "Be brief. /no_think"), says("user", "Hi /no_think")]
    yield "parts", [says("system", part("Be brief.")), says("user", part("Hi") + part(" there")), says("assistant", part("Yes.")), says("user", part("And?"))]
    yield "image", [says("user", [{"type": "image"}, *part("What is it?")])]
    yield "image address", [says("user", [*part("What is it?"), {"type": "image_url", "image_url": {"url": "x"}}])]
    for name, arguments in ARGUMENTS.items():
        for as_text in (False, True):
            what = f"call {name}{', as text' if as_text else ''}"
            calls = [call("get_weather", arguments, as_text=as_text)]
            result = says("tool", '{"degrees": 12, "of": "Pàris"}', tool_call_id="abc123def", name="get_weather")
            yield what, [USER, says("assistant", "", tool_calls=calls), result]
    one = call("get_weather", ARGUMENTS["plain"])
    two = call("deep.call-1", ARGUMENTS["nested"], "def123abc")
    result = says("tool", "12 degrees", tool_call_id="abc123def", name="get_weather")
    other = says("tool", [], tool_call_id="def123abc", name="deep.call-1")
    yield "call last", [USER, says("assistant", "", tool_calls=[one])]
    yield "call, content null", [USER, says("assistant", None, tool_calls=[one]), result]
    yield "call without content", [USER, {"role": "assistant", "tool_calls": [one]}, result]
    yield "text and call", [SYSTEM, USER, says("assistant", "I look.", tool_calls=[one]), result, says("assistant", "It is 12."), USER]
    yield "two calls", [USER, says("assistant", "", tool_calls=[one, two]), result, {**other, "content": '{"a": [1, 2]}'}, says("assistant", "Both.")]
    yield "two calls, text", [USER, says("assistant", "I look.", tool_calls=[one, two]), result, {**other, "content": "é"}]
    yield "calls in a row", [USER, says("assistant", "", tool_calls=[one]), result, says("assistant", "", tool_calls=[two]), {**other, "content": "no"}, says("assistant", "So."), USER]
    yield "call and thought", [USER, says("assistant", "<think>\nI look.\n</think>\n\n", tool_calls=[one]), result, says("assistant", THOUGHT), USER]
    yield "call and reasoning", [USER, says("assistant", "", reasoning_content="I look.", tool_calls=[one]), result]
    yield "result of an object", [USER, says("assistant", "", tool_calls=[one]), {**result, "content": {"degrees": 12, "wet": None}}]
    yield "result in parts", [USER, says("assistant", "", tool_calls=[one]), {**result, "content": part("12")}]
    yield "result without a name", [USER, says("assistant", "", tool_calls=[one]), says("tool", "12", tool_call_id="abc123def")]
    yield "responses", [USER, says("assistant", "", tool_calls=[one], tool_responses=[{"name": "get_weather", "response": {"degrees": 12}}])]
    yield "bare call", [USER, says("assistant", "", tool_calls=[one["function"]]), result]
    yield "empty calls", [USER, says("assistant", "Yes.", tool_calls=[]), USER]
    yield "tools of the system", [says("system", "Be brief.", tools=json.dumps([WEATHER["function"]])), USER]


VARIABLES = [{}, {"enable_thinking": True}, {"enable_thinking": False}, {"thinking": True}]


def cases():
    for name, messages in conversations():
        calls = any(message.get("tool_calls") for message in messages)
        for tools in ("one", "all") if calls else TOOLS:
            for prompt in (True, False):
                for variables in VARIABLES if prompt else VARIABLES[:1]:
                    given = dict(variables, tools=TOOLS[tools], xml_tools=TOOLS[tools])
                    said = ", ".join([name, f"tools {tools}", *(["prompt"] if prompt else []), *map(str, variables.items())])
                    yield said, messages, prompt, given


def rendered(template, tokens, messages, prompt, given):
    given = {key: value for key, value in given.items() if key != "tools"} | {"tools": given["tools"]}
    tools = given.pop("tools")
    try:
        # A copy: a template may change what it is given.
        texts, _ = chat_template_utils.render_jinja_template(
            conversations=[json.loads(json.dumps(messages))], tools=tools, chat_template=template, add_generation_prompt=prompt, **tokens, **given
        )
        return {"text": texts[0]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def read(path):
    if path.suffix == ".jinja":
        return path.read_text(), TOKENS
    config = json.loads(path.read_text())
    template = config["chat_template"]
    if isinstance(template, list):
        template = next(each["template"] for each in template if each["name"] == "default")
    named = {name: config.get(name) for name in TOKENS}
    return template, {name: token["content"] if isinstance(token, dict) else token for name, token in named.items() if token}


def main():
    chat_template_utils.datetime = Clock
    for path in sorted(Path(sys.argv[1]).iterdir()):
        if path.suffix not in (".jinja", ".json"):
            continue
        template, tokens = read(path)
        chats = []
        for said, messages, prompt, given in cases():
            variables = {**tokens, **given, "messages": messages, "documents": None, "add_generation_prompt": prompt}
            chats.append({"said": said, "variables": variables, **rendered(template, tokens, messages, prompt, given)})
        print(json.dumps({"name": path.name, "template": template, "chats": chats}))


if __name__ == "__main__":
    main()
