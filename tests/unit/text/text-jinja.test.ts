import { describe, expect, it, vi } from "vitest";
import { Template } from "../../../src/text/jinja.ts";
import fixture from "../fixtures/jinja.json" with { type: "json" };

type Conversation = keyof typeof fixture.conversations;
type Rendered = { text?: string; error?: string };

// The clock of make_jinja_fixtures.py.
vi.setSystemTime(new Date(2025, 8, 3, 7, 5, 9));

function rendered(source: string, values: Record<string, unknown>): string {
  return new Template(source).render({ ...values });
}

/** The text as Python makes it, or an error of ours where Python has one. */
function check(source: string, values: Record<string, unknown>, { text, error }: Rendered): void {
  if (error === undefined) expect(rendered(source, values), source).toBe(text);
  else
    expect(() => rendered(source, values), `${source} (${error})`).toThrow(
      expect.objectContaining({ raised: expect.any(Boolean) }),
    );
}

describe("as Python's Jinja2", () => {
  it.each(fixture.snippets)("renders $source", (snippet) => {
    check(snippet.source, fixture.values, snippet);
  });

  describe.each(Object.entries(fixture.templates))("renders a template like %s", (_, template) => {
    it.each(Object.entries<Rendered>(template.chats))("of: %s", (name, chat) => {
      check(template.source, fixture.conversations[name as Conversation], chat);
    });
  });
});
