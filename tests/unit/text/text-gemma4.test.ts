/** A small vocabulary of Gemma 4's kind (make_gemma4_fixtures.py), against transformers' tokenizer for it. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../../src/text/create-tokenizer.ts";

const { metadata, cases } = JSON.parse(
  readFileSync(new URL("../fixtures/text-gemma4.json", import.meta.url), "utf8"),
) as {
  metadata: Record<string, unknown>;
  /** text, its ids, its ids with control tokens read, the text of the former */
  cases: [string, number[], number[], string][];
};
const changed = (keys: Record<string, unknown> = {}) =>
  createTokenizer(new Map(Object.entries({ ...metadata, ...keys })));
const idOf = (token: string): number =>
  (metadata["tokenizer.ggml.tokens"] as string[]).indexOf(token);

describe("a GGUF's tokenizer gemma4", () => {
  it("has the ids of transformers on 200 hard strings, and their text", async () => {
    const tokenizer = await changed();
    expect(cases.length).toBeGreaterThan(200);
    const wrong = cases.filter(([text, plain, special]) => {
      const found = [tokenizer.encode(text), tokenizer.encode(text, { special: true })];
      return String(found) !== String([plain, special]);
    });
    expect(wrong.map(([text]) => text)).toEqual([]);
    for (const [text, plain, , decoded] of cases)
      expect(tokenizer.decode(plain, { special: true }), JSON.stringify(text)).toBe(decoded);
  });

  it("begins a text with bos and ends an answer at eos and at the end of a turn", async () => {
    const tokenizer = await changed({ "tokenizer.ggml.add_bos_token": false });
    expect(tokenizer.prefix).toEqual([idOf("<bos>")]);
    expect([...tokenizer.endTokens].sort((a, b) => a - b)).toEqual([1, idOf("<turn|>")]);
  });

  it("merges no newline with anything else, whatever the file lists", async () => {
    const merges = ["\n a", "a \n", "\n \n\n", ...(metadata["tokenizer.ggml.merges"] as string[])];
    const tokens = [...(metadata["tokenizer.ggml.tokens"] as string[]), "\na", "a\n"];
    const types = [...(metadata["tokenizer.ggml.token_type"] as number[]), 1, 1];
    const tokenizer = await changed({
      "tokenizer.ggml.merges": merges,
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": types,
    });
    const [a, newline] = [idOf("a"), idOf("\n")];
    expect(tokenizer.encode("a\na")).toEqual([a, newline, a]);
    expect(tokenizer.encode("\n\n\n")).toEqual([idOf("\n\n\n")]);
  });

  it("refuses a file without merges", async () => {
    await expect(changed({ "tokenizer.ggml.merges": undefined })).rejects.toMatchObject({
      code: "bad_model_file",
      details: { field: "tokenizer.ggml.merges" },
    });
  });
});
