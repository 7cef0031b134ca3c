import { expect, test } from "vitest";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { TINY_MODELS, tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";

/** The tiny model with some values of a tensor replaced. */
async function damaged(
  name: string,
  value: number,
  first = 0,
  count = 1,
): Promise<InferenceEngine> {
  const file = tinyModel("f32").slice();
  const gguf = await parseGguf(new MemorySource(file, "tiny.gguf"));
  const { offset, type } = gguf.tensors.get(name)!;
  expect(type).toBe("F32");
  const view = new DataView(file.buffer, file.byteOffset);
  for (let i = 0; i < count; i += 1) view.setFloat32(offset + 4 * (first + i), value, true);
  return loadTinyEngine({ budget: 64 }, { source: new MemorySource(file, "tiny.gguf") });
}

const refused = expect.objectContaining({
  code: "bad_model_file",
  message: expect.stringMatching(/logits are no numbers/),
  hint: expect.stringMatching(/NaN or infinite/),
});

test.each([
  ["NaN in a layer", "blk.0.ffn_down.weight", Number.NaN],
  ["NaN in a norm", "output_norm.weight", Number.NaN],
  ["infinity in a layer", "blk.1.attn_q.weight", Infinity],
] as const)("%s is an error, not an answer of token 0", async (_name, tensor, value) => {
  const engine = await damaged(tensor, value);
  const before = engine.memory();
  const chat = engine.conversation("a");
  for (const sampling of [{}, { temperature: 1, seed: 3 }, { repetitionPenalty: 1.3 }]) {
    await expect(ask(chat, someTokens(20), { sampling })).rejects.toEqual(refused);
    checkCache(engine);
  }
  await chat.reset();
  expect(engine.memory()).toEqual(before);
  await expect(chat.logits(someTokens(20))).rejects.toEqual(refused);
  await expect(chat.nll(someTokens(20), { chunk: 8 })).rejects.toEqual(refused);
  await engine.close();
});

test("NaN in one token's row of the head is a notice, and the others answer", async () => {
  const { hidden } = TINY_MODELS.f32;
  const row = 260;
  const engine = await damaged("token_embd.weight", Number.NaN, row * hidden, hidden);
  const prompt = someTokens(20).map((token) => (token === row ? row + 1 : token));
  const { answer } = await ask(engine.conversation("a"), prompt, { maxTokens: 8 });
  expect(answer).not.toContain(row);
  expect(new Set(answer)).not.toEqual(new Set([0]));
  expect(engine.info().notices.filter((text) => /no numbers.*damaged/.test(text))).toHaveLength(1);
  // As part of a prompt it spoils everything behind it.
  const spoilt = ask(engine.conversation("b"), [...prompt, row, 5]);
  await expect(spoilt).rejects.toEqual(refused);
  await engine.close();
});

test("a sound model has no such notice", async () => {
  const engine = await loadTinyEngine({ budget: 64 });
  await ask(engine.conversation("a"), someTokens(20), { maxTokens: 8 });
  expect(engine.info().notices.filter((text) => /no numbers/.test(text))).toEqual([]);
  await engine.close();
});
