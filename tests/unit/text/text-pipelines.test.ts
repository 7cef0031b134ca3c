/** tokenizer.json in its many forms, against the ids that `tokenizers` gives (tests/reference/generators/make_tokenizer_fixtures.py). */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { tokenizerMetadata } from "../../../src/formats/checkpoint/hub-tokenizer.ts";
import { createTokenizer } from "../../../src/text/create-tokenizer.ts";
import { StreamingDecoder } from "../../../src/text/streaming-decoder.ts";

type Json = Record<string, unknown>;
interface Form {
  name: string;
  vocabulary: string;
  spec: Json & { model: Json; added_tokens: Json[] };
  /** [text, ids, ids with control tokens read where those differ] */
  ids: [string, number[], number[]?][];
}
const fixture = JSON.parse(
  readFileSync(new URL("../fixtures/text-pipelines.json", import.meta.url), "utf8"),
) as {
  vocabularies: Record<string, { tokens: string[]; merges: [string, string][] }>;
  forms: Form[];
};

function tokenizerJson(
  { vocabulary, spec }: Pick<Form, "vocabulary" | "spec">,
  changes: Json = {},
  config: Json = {},
) {
  const { tokens, merges } = fixture.vocabularies[vocabulary]!;
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const model = { type: "BPE", vocab, merges, ...spec.model, ...(changes.model as Json) };
  return createTokenizer(tokenizerMetadata({ ...spec, ...changes, model }, config, {}));
}

const named = (name: string): Form => fixture.forms.find((form) => form.name === name)!;

describe("tokenizer.json", () => {
  it.each(fixture.forms.map((form) => [form.name, form] as const))("%s", async (_, form) => {
    const tokenizer = await tokenizerJson(form);
    const found = form.ids.map(([text, , special]) => [
      text,
      tokenizer.encode(text),
      ...(special ? [tokenizer.encode(text, { special: true })] : []),
    ]);
    expect(found).toEqual(form.ids);
    for (const [text, plain, special] of form.ids)
      if (!special) expect(tokenizer.encode(text, { special: true })).toEqual(plain);
  });

  it("takes merges as strings too", async () => {
    const form = named("Prepend and Replace");
    const { merges } = fixture.vocabularies.marks!;
    const tokenizer = await tokenizerJson(form, {
      model: { merges: merges.map((pair) => pair.join(" ")) },
    });
    for (const [text, ids] of form.ids) expect(tokenizer.encode(text)).toEqual(ids);
  });

  it("gives back texts, streamed and whole; a space that was put in front is taken away", async () => {
    const text = "Hello there, 漢字 😀";
    for (const name of [
      "Metaspace first, split True",
      "Metaspace always, split False",
      "Metaspace never, split True",
      "Metaspace of before prepend_scheme",
      "Prepend and Replace",
      "Gemma's",
      "ByteLevel alone",
      "expression 2",
    ]) {
      const tokenizer = await tokenizerJson(named(name));
      const ids = tokenizer.encode(text);
      expect(tokenizer.decode(ids)).toBe(text);
      const decoder = new StreamingDecoder(tokenizer);
      expect(ids.map((id) => decoder.push(id)).join("")).toBe(text);
    }
  });

  it("reads control tokens of a template, and none spelled in a message", async () => {
    const tokenizer = await tokenizerJson(named("Metaspace first, split True"));
    const guard = "\ufdd0";
    const plain = (text: string) => tokenizer.encode(text);
    expect(tokenizer.encodeGuarded(`<s>a<${guard}s>b</s>`, guard)).toEqual([
      1,
      ...plain("xa<s>b").slice(plain("x").length),
      2,
    ]);
    expect(tokenizer.encodeGuarded("a b", guard)).toEqual(plain("a b"));
    // Only what nothing stands before has a space put in front.
    expect(tokenizer.encodeGuarded("<s>a", guard)).toEqual(
      tokenizer.encode("<s>a", { special: true }),
    );
  });

  it("begins with bos where its template for single texts does, or tokenizer_config.json says so", async () => {
    const form = named("Prepend and Replace");
    const template = (id: string) => ({
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    });
    const prefix = async (post_processor: unknown, config: Json = {}) =>
      (await tokenizerJson(form, { post_processor }, { bos_token: "<s>", ...config })).prefix;
    expect(await prefix(template("<s>"))).toEqual([1]);
    expect(await prefix({ type: "Sequence", processors: [template("<s>")] })).toEqual([1]);
    expect(await prefix(template("</s>"))).toEqual([]);
    expect(await prefix(null)).toEqual([]);
    expect(await prefix(null, { add_bos_token: true })).toEqual([1]);
    expect(await prefix(template("<s>"), { add_bos_token: false })).toEqual([]);
  });

  const step = (pre_tokenizer: Json) => ({ pre_tokenizer });
  it.each<[string, Json, string]>([
    ["a normalizer", { normalizer: { type: "Precompiled" } }, "normalizer Precompiled"],
    [
      "a normalizer in a sequence",
      { normalizer: { type: "Sequence", normalizers: [{ type: "Nmt" }] } },
      "normalizer.normalizers[0]: the normalizer Nmt",
    ],
    ["a pre-tokenizer", step({ type: "UnicodeScripts" }), "pre-tokenizer UnicodeScripts"],
    [
      "a behavior",
      step({ type: "Split", pattern: { String: "a" }, behavior: "Doubled", invert: false }),
      '"Doubled"',
    ],
    [
      "an expression",
      step({ type: "Split", pattern: { Regex: "(?{x})" }, behavior: "Isolated" }),
      "expression",
    ],
    ["a scheme", step({ type: "Metaspace", prepend_scheme: "last" }), '"last"'],
    ["a decoder", { decoder: { type: "WordPiece" } }, "decoder WordPiece"],
    ["dropout", { model: { dropout: 0.1 } }, "model.dropout"],
    ["suffixes", { model: { end_of_word_suffix: "</w>" } }, "model.end_of_word_suffix"],
    ["prefixes", { model: { continuing_subword_prefix: "##" } }, "continuing_subword_prefix"],
    ["another model", { model: { type: "Unigram" } }, "Unigram"],
  ])("%s that is not known is refused by name", async (_, changes, message) => {
    const failing = (async () => tokenizerJson(named("ByteLevel alone"), changes))();
    await expect(failing).rejects.toMatchObject({
      code: "unsupported_model",
      message: expect.stringContaining(message),
    });
  });

  it.each<[string, Json, string]>([
    ["a step without a type", step({}), "pre_tokenizer"],
    ["a flag that is a number", step({ type: "ByteLevel", use_regex: 1 }), "use_regex"],
    [
      "two ways to say it",
      step({ type: "Metaspace", prepend_scheme: "always", add_prefix_space: false }),
      "add_prefix_space",
    ],
    ["a pattern of no kind", step({ type: "Split", behavior: "Isolated" }), "pattern"],
    ["a token without content", { added_tokens: [{ id: 1 }] }, "added_tokens"],
  ])("%s is a bad file", async (_, changes, message) => {
    const failing = (async () => tokenizerJson(named("ByteLevel alone"), changes))();
    await expect(failing).rejects.toMatchObject({
      code: "bad_model_file",
      message: expect.stringContaining(message),
    });
  });
});
