import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { turnBack } from "../../../calibrate/queries/query-statistics.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import type { CapturedHeads } from "../../../src/engine/measuring/capture.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import fixture from "../fixtures/tiny-heads.json" with { type: "json" };

/** Gemma 3's global layer has another base than the others; SmolLM3's last one has no RoPE. */
const FAMILIES = ["llama3", "smollm3", "qwen2", "qwen3", "gemma3"] as const;

/** Row of a position [heads D] in what was captured. */
function rowOf(
  captured: readonly CapturedHeads[],
  layer: number,
  position: number,
  field: "queries" | "keys" | "values" | "residual",
): Float32Array {
  const one = captured.find(
    ({ layer: l, start, rows }) => l === layer && position >= start && position < start + rows,
  )!;
  const width = one[field].length / one.rows;
  return one[field].subarray((position - one.start) * width, (position - one.start + 1) * width);
}

describe.each(FAMILIES)("captured heads of the tiny %s model", (name) => {
  const { tokens, layer, rows, output } = fixture[name];
  let engine: InferenceEngine;
  beforeAll(async () => {
    const source = new MemorySource(tinyModel(name), "tiny.gguf");
    engine = await InferenceEngine.load(sharedGpu, {
      source,
      name,
      cache: { policy: "k-norm", kv: "f32" },
    });
  });
  afterAll(() => engine?.close());

  test("queries, keys, values and the residual stream's length are transformers'", async () => {
    const captured: CapturedHeads[] = [];
    // A second chunk: positions go on, and what came before stays in the cache.
    for await (const heads of engine.captureHeads([...tokens, ...tokens, ...tokens]))
      captured.push(heads);
    expect(new Set(captured.map(({ start }) => start))).toEqual(new Set([0, 128]));
    expect(engine.shape.layers).toBe(layer + 1);
    for (const { position, q, k, v, residual } of rows)
      for (const [field, expected] of [
        ["queries", q],
        ["keys", k],
        ["values", v],
        ["residual", [residual]],
      ] as const) {
        const found = rowOf(captured, layer, position, field);
        expect(found).toHaveLength(expected.length);
        for (const [i, x] of found.entries())
          expect(Math.abs(x - expected[i]!), `${field} at ${position}`).toBeLessThan(1e-3);
      }
  });

  test("turned back by the layer's own RoPE, queries are what transformers' were before it", async () => {
    const captured: CapturedHeads[] = [];
    for await (const heads of engine.captureHeads(tokens)) captured.push(heads);
    const { headDim, frequencies } = engine.shape;
    const before = new Float64Array(headDim);
    for (const { position, plain } of rows) {
      const queries = rowOf(captured, layer, position, "queries");
      for (let at = 0; at < queries.length; at += headDim) {
        turnBack(queries, at, position, frequencies[layer]!, before);
        for (const [i, x] of before.entries())
          expect(Math.abs(x - plain[at + i]!), `at ${position}`).toBeLessThan(1e-3);
      }
    }
    const turns = frequencies.map((layer) => layer.some((f) => f > 0));
    expect(turns).toEqual(frequencies.map((_, i) => name !== "smollm3" || i !== 3));
  });

  test("attention's output matrix is transformers'", async () => {
    const matrix = await engine.outputMatrix(layer);
    expect(matrix).toHaveLength(output.size);
    const width = output.row.length;
    const column = output.column.map((_, i) => matrix[(i + 1) * width - 1]!);
    for (const [i, x] of [...matrix.slice(-width), ...column].entries())
      expect(Math.abs(x - [...output.row, ...output.column][i]!)).toBeLessThan(1e-5);
  });
});
