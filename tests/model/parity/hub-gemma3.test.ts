/** A Gemma 3 checkpoint as `transformers` saves it (make_hub_fixtures.py): text and logits. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { resolveModel } from "../../../src/fetch/resolve/resolve-model.ts";
import { parseModel } from "../../../src/formats/parse-model.ts";
import { createTokenizer } from "../../../src/text/create-tokenizer.ts";
import { configOf } from "../../reference/tiny-model/config-of.ts";
import { sharedGpu } from "../../shared-gpu.ts";

interface Fixture {
  config: Record<string, unknown>;
  /** model.safetensors in base64. */
  weights: string;
  tokenizer: object;
  tokens: number[];
  logits: Record<string, number[]>;
  texts: [string, number[]][];
}

const fixture: Fixture = JSON.parse(
  readFileSync(new URL("../fixtures/hub-gemma3.json", import.meta.url), "utf8"),
);
const TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";

/** Its files; a decoder beside a part that sees images keeps the same configuration one level down. */
async function checkpoint(config: object = fixture.config) {
  const json = (name: string, value: unknown) => new File([JSON.stringify(value)], name);
  const { source } = await resolveModel([
    new File([Buffer.from(fixture.weights, "base64")], "model.safetensors"),
    json("config.json", config),
    json("tokenizer.json", fixture.tokenizer),
    json("tokenizer_config.json", { bos_token: "<bos>", eos_token: "<eos>", add_bos_token: true }),
    new File([TEMPLATE], "chat_template.jinja"),
  ]);
  return source;
}

test("its numbers: windows, scale, two RoPE bases", async () => {
  const nested = { model_type: "gemma3", text_config: fixture.config };
  for (const config of [fixture.config, nested]) {
    const read = configOf(await parseModel(await checkpoint(config)));
    expect(read).toMatchObject({
      windows: [9, 0, 9, 0],
      attentionScale: 1 / Math.sqrt(24),
      ropeBase: 1e6,
      localRopeBase: 1e4,
      tiedHead: true,
    });
  }
});

test.each([
  ["an irregular pattern", { layer_types: ["full_attention", "sliding_attention"] }, "layer_types"],
  ["another activation", { hidden_activation: "silu" }, "hidden_activation"],
  ["capped logits", { final_logit_softcapping: 30 }, "final_logit_softcapping"],
])("%s is refused by name", async (_, changes, field) => {
  await expect(checkpoint({ ...fixture.config, ...changes })).rejects.toMatchObject({
    code: "unsupported_model",
    message: expect.stringContaining(field),
  });
});

test("its tokens equal those of tokenizers, its template comes from a file of its own", async () => {
  const { metadata } = await parseModel(await checkpoint());
  const tokenizer = await createTokenizer(metadata);
  for (const [text, ids] of fixture.texts)
    expect(tokenizer.encode(text, { special: true }), text).toEqual(ids);
  expect(metadata.get("tokenizer.chat_template")).toBe(TEMPLATE);
  expect(tokenizer.prefix).toEqual([2]);
  expect([...tokenizer.endTokens].sort()).toEqual([1, 5]);
});

test("its logits equal PyTorch's", async () => {
  const engine = await InferenceEngine.load(sharedGpu, {
    source: await checkpoint(),
    name: "hub",
    cache: { budget: "full" },
  });
  try {
    for (const [last, wanted] of Object.entries(fixture.logits)) {
      const tokens = fixture.tokens.slice(0, Number(last) + 1);
      const logits = await engine.conversation("a").logits(tokens);
      const worst = wanted.reduce((most, x, i) => Math.max(most, Math.abs(logits[i]! - x)), 0);
      expect(worst).toBeLessThan(5e-3);
    }
  } finally {
    await engine.close();
  }
});
