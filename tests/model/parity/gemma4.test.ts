/** Per-layer embeddings whose table stays in the file, and keys and values that later layers borrow. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { constrain } from "../../../src/constraint/constrain.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import type { ByteSource } from "../../../src/formats/byte-source.ts";
import { type Gguf, parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { ask } from "../chat.ts";

const bytes = tinyModel("gemma4");
const TABLE = "per_layer_token_embd.weight";
const ROW = 9 * 12 * 4;

/** The file, with a note of the reads that touch the table. */
class Watched implements ByteSource {
  readonly name = "tiny.gguf";
  readonly size = bytes.length;
  readonly rows: number[] = [];
  begin = Number.POSITIVE_INFINITY;
  end = 0;
  readonly #source = new MemorySource(bytes);

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (offset < this.end && offset + length > this.begin) {
      expect(length, "one row at a time").toBe(ROW);
      this.rows.push((offset - this.begin) / ROW);
    }
    return this.#source.read(offset, length, signal);
  }
}

const source = new Watched();
let tensors: Gguf["tensors"];
let engine: InferenceEngine;
const tokens = Array.from({ length: 300 }, (_, i) => (i * 37 + 5 * Math.floor(i / 7) + 3) % 271);

beforeAll(async () => {
  tensors = (await parseGguf(new MemorySource(bytes))).tensors;
  const table = tensors.get(TABLE)!;
  [source.begin, source.end] = [table.offset, table.offset + table.byteLength];
  engine = await InferenceEngine.load(sharedGpu, {
    source,
    name: "gemma4",
    cache: { budget: "full", kv: "f32" },
  });
});
afterAll(() => engine?.close());

test("the GPU holds the weights without the table", () => {
  const table = source.end - source.begin;
  expect(table).toBe(271 * ROW);
  // As matrices of f32 lie on the GPU, in blocks of 32 weights of a row.
  let onGpu = 0;
  for (const [name, { shape }] of tensors) {
    const [columns = 1, rows] = shape;
    if (name === TABLE) continue;
    onGpu += rows === undefined ? columns * 4 : rows * Math.ceil(columns / 32) * 32 * 4;
  }
  const { layers } = engine.internals.state.runner.transformer.parts;
  const tables = [...new Set(layers.map(({ rope }) => rope))].reduce(
    (sum, { size }) => sum + size,
    0,
  );
  // What is left is filters, and gains of layers that have none.
  const rest = engine.memory().weights - tables - onGpu;
  expect(rest).toBeGreaterThanOrEqual(0);
  expect(rest).toBeLessThan(table / 8);
  expect(source.rows).toEqual([]);
});

test("rows are read as tokens are run, each once", async () => {
  const prompt = [5, 9, 5, 7, 9];
  const { answer } = await ask(engine.conversation("rows"), prompt, { maxTokens: 6 });
  const run = new Set([...prompt, ...answer.slice(0, -1)]);
  expect([...source.rows].sort((a, b) => a - b)).toEqual([...run].sort((a, b) => a - b));
  const before = source.rows.length;
  await ask(engine.conversation("again"), [9, 7, 5], { maxTokens: 1 });
  expect(source.rows).toHaveLength(before);
});

test("a prompt that is read in a block, layer by layer, has the logits of one that is read in chunks", async () => {
  const chunked = await engine.conversation("chunks").logits(tokens);
  const blocks = engine.conversation("block");
  await blocks.configure({ budget: 64, policy: "streaming-llm", window: 32, sinks: 4 });
  const found = await blocks.logits(tokens);
  expect(blocks.usage().pairsEvicted).toBeGreaterThan(0);
  for (let i = 0; i < chunked.length; i += 1)
    expect(Math.abs(found[i]! - chunked[i]!), `[${i}]`).toBeLessThan(1e-3);
});

test("an answer under a budget is the same whoever else answers meanwhile", async () => {
  const asked = async (name: string, budget: number) => {
    const chat = engine.conversation(name);
    await chat.configure({ budget, policy: "k-norm", window: 16, sinks: 4 });
    return (await ask(chat, tokens.slice(0, 200), { maxTokens: 24 })).answer;
  };
  const alone = await asked("alone", 48);
  const [beside] = await Promise.all([asked("beside", 48), asked("other", 64)]);
  expect(beside).toEqual(alone);
});

test("nothing is guessed, since the host must know a token before its step", () => {
  expect(engine.internals.speculative).toBe("off");
});

test("an answer to a schema is valid, though nothing of it is run ahead", async () => {
  const file = new URL("../fixtures/converted-gemma4.gguf", import.meta.url);
  const own = await InferenceEngine.load(sharedGpu, {
    source: new MemorySource(new Uint8Array(readFileSync(file)), "converted.gguf"),
    name: "converted",
    cache: { budget: 48, policy: "k-norm", window: 16, sinks: 4 },
  });
  try {
    const { tokenizer } = own;
    const properties = { "is it well": { type: "boolean" }, age: { type: "integer", maximum: 99 } };
    const required = Object.keys(properties);
    const schema = { type: "object", properties, required, additionalProperties: false };
    const prompt = [...tokenizer.prefix, ...tokenizer.encode("the state of a layer is small. ")];
    for (const seed of [1, 2]) {
      const constraint = constrain(tokenizer, { type: "json_schema", schema });
      const sampling = { temperature: 1, seed };
      const asked = { maxTokens: 100, sampling, constraint };
      const { answer, result } = await ask(own.conversation(`schema ${seed}`), prompt, asked);
      expect(result?.finish).toBe("stop");
      const found: unknown = JSON.parse(tokenizer.decode(answer));
      expect(found).toEqual({ "is it well": expect.any(Boolean), age: expect.any(Number) });
    }
  } finally {
    await own.close();
  }
});
