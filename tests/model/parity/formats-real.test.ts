import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findModel } from "../../../src/fetch/resolve/model-registry.ts";
import { sha256OfSource } from "../../../src/fetch/sha256-stream.ts";
import { allocateDecodedBlocks, decodeBlocks } from "../../../src/formats/ggml/decode-blocks.ts";
import { dequantize } from "../../../src/formats/ggml/dequantize.ts";
import { GGML_TYPES, isQuantized } from "../../../src/formats/ggml/ggml-types.ts";
import {
  type Gguf,
  getNumber,
  getString,
  getStringArray,
  parseGguf,
} from "../../../src/formats/gguf/gguf.ts";
import { NodeFileSource } from "../../../src/formats/node-source.ts";

const PATH = process.env.WINNOW_MODEL ?? ".cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";

describe("the default model's file (npm start and npm test fetch it)", () => {
  const entry = findModel("smollm2-135m-instruct");
  let source: NodeFileSource;
  let gguf: Gguf;

  beforeAll(async () => {
    expect(existsSync(PATH), `${PATH} is there`).toBe(true);
    source = await NodeFileSource.open(PATH);
    gguf = await parseGguf(source);
  });

  afterAll(() => source?.close());

  it("is the one models.json describes", async () => {
    expect(source.size).toBe(entry.bytes);
    expect(await sha256OfSource(source)).toBe(entry.sha256);
    expect(getString(gguf, "general.architecture")).toBe(entry.architecture);
    expect(getNumber(gguf, "llama.context_length")).toBe(entry.contextLength);
  });

  it("has the published configuration", () => {
    expect(gguf.version).toBe(3);
    expect(gguf.tensors.size).toBe(272);
    const number = (key: string) => getNumber(gguf, `llama.${key}`);
    expect(number("block_count")).toBe(30);
    expect(number("embedding_length")).toBe(576);
    expect(number("feed_forward_length")).toBe(1536);
    expect(number("attention.head_count")).toBe(9);
    expect(number("attention.head_count_kv")).toBe(3);
    expect(number("rope.freq_base")).toBe(100_000);
    expect(getStringArray(gguf, "tokenizer.ggml.tokens")).toHaveLength(49_152);
    expect(getStringArray(gguf, "tokenizer.ggml.merges")).toHaveLength(48_900);
    const shape = (name: string) => gguf.tensors.get(name)?.shape;
    expect(shape("token_embd.weight")).toEqual([576, 49_152]);
    expect(shape("blk.29.ffn_down.weight")).toEqual([1536, 576]);
    expect(shape("output_norm.weight")).toEqual([576]);
  });

  it("holds finite, weight-like numbers in every tensor, and codes that give them back", async () => {
    for (const { name, type, offset, byteLength } of gguf.tensors.values()) {
      const { blockBytes, blockSize } = GGML_TYPES[type];
      const blocks = Math.min(byteLength / blockBytes, 64);
      const bytes = await source.read(offset, blocks * blockBytes);
      const weights = dequantize(type, bytes, blocks * blockSize);
      const largest = weights.reduce((max, weight) => Math.max(max, Math.abs(weight)), 0);
      expect(largest, name).toBeLessThan(100);
      expect(largest, name).toBeGreaterThan(0);
      if (!isQuantized(type)) continue;
      const out = allocateDecodedBlocks(type, blocks);
      decodeBlocks(type, bytes, 0, blocks, out);
      const code = type === "Q8_0" ? new Int8Array(out.codes.buffer) : out.codes;
      const again = weights.map((_, i) => out.scales[i >> 5]! * code[i]! + out.mins[i >> 5]!);
      expect(again, name).toEqual(weights);
    }
  });
});
