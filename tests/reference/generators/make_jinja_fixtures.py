"""../../unit/fixtures/jinja.json: what Python's Jinja2 renders under the settings of transformers' chat templates.

    python make_jinja_fixtures.py

needs transformers and jinja2. Each snippet is rendered once with VALUES; each template of jinja_templates.py with every
conversation of it. A snippet at which Python fails has the name of the error in place of a text. The clock stands at NOW.
"""

import json
from datetime import datetime
from pathlib import Path

from transformers.utils import chat_template_utils

from jinja_snippets import SNIPPETS, VALUES
from jinja_templates import CONVERSATIONS, TEMPLATES

NOW = datetime(2025, 9, 3, 7, 5, 9)
OUT = Path(__file__).resolve().parent / "../../unit/fixtures/jinja.json"


class Clock:
    @staticmethod
    def now():
        return NOW


def rendered(source, values):
    try:
        return {"text": chat_template_utils._compile_jinja_template(source).render(**values)}
    except Exception as error:  # what fails in Python must fail here too
        return {"error": type(error).__name__}


def main():
    chat_template_utils.datetime = Clock
    snippets = [{"source": source, **rendered(source, VALUES)} for source in SNIPPETS]
    addresses = [snippet["source"] for snippet in snippets if " at 0x" in snippet.get("text", "")]
    assert not addresses, addresses
    templates = {
        name: {
            "source": source,
            "chats": {chat: rendered(source, values) for chat, values in CONVERSATIONS.items()},
        }
        for name, source in TEMPLATES.items()
    }
    fixture = {"values": VALUES, "snippets": snippets, "conversations": CONVERSATIONS, "templates": templates}
    OUT.write_text(json.dumps(fixture, ensure_ascii=False, indent=0) + "\n")
    failed = [snippet["source"] for snippet in snippets if "error" in snippet]
    print(f"{len(snippets)} snippets ({len(failed)} fail in Python), {len(templates)} templates")


if __name__ == "__main__":
    main()
