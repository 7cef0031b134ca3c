import { describe, expect, test } from "vitest";
import { withLayers } from "../../../src/cli/bench/shape/layer-types.ts";
import { RandomModel } from "../../../src/cli/bench/shape/random-model.ts";
import { benchShape } from "../../../src/cli/bench/shape/shape-bench.ts";
import { shapeTable } from "../../../src/cli/bench/shape/shape-table.ts";
import { readShape, type ShapeConfig } from "../../../src/cli/bench/shape/shapes.ts";
import type { CommandFiles } from "../../../src/cli/command.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { someTokens } from "../chat.ts";
import { freshChat } from "../tiny-engine.ts";
import { bytesMoved, watchBindings } from "./watched-bindings.ts";

const TINY = {
  hidden_size: 64,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 32,
  intermediate_size: 96,
  vocab_size: 300,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-6,
};
interface Case {
  readonly whole: ShapeConfig;
  /** Layers of each kind: name, those that are there, those of the whole. */
  readonly kinds: readonly (readonly [string, number, number])[];
}

/** A layer of each kind is there, of models that have more. */
const CASES: Record<string, Case> = {
  qwen35: {
    whole: {
      ...TINY,
      model_type: "qwen3_5_text",
      num_hidden_layers: 8,
      rope_parameters: { rope_theta: 1e7, partial_rotary_factor: 0.5 },
      linear_conv_kernel_dim: 4,
      linear_key_head_dim: 16,
      linear_value_head_dim: 16,
      linear_num_key_heads: 2,
      linear_num_value_heads: 2,
    },
    kinds: [
      ["linear_attention", 2, 6],
      ["full_attention", 1, 2],
    ],
  },
  gemma3: {
    whole: { ...TINY, model_type: "gemma3_text", num_hidden_layers: 12, sliding_window: 32 },
    kinds: [
      ["sliding_attention", 2, 10],
      ["full_attention", 1, 2],
    ],
  },
  gemma4: {
    whole: {
      ...TINY,
      model_type: "gemma4_text",
      num_hidden_layers: 12,
      num_kv_shared_layers: 6,
      sliding_window: 32,
      sliding_window_pattern: 3,
      global_head_dim: 64,
      use_double_wide_mlp: true,
      hidden_size_per_layer_input: 16,
      final_logit_softcapping: 30,
    },
    kinds: [
      ["sliding_attention", 2, 4],
      ["full_attention", 1, 2],
      ["sliding_attention, borrowing", 1, 4],
      ["full_attention, borrowing", 1, 2],
    ],
  },
};

const load = async (config: ShapeConfig, gpu: GPU): Promise<InferenceEngine> =>
  InferenceEngine.load(gpu, {
    source: await RandomModel.of("random", config),
    name: "random",
    tuning: "off",
  });

describe.each(Object.keys(CASES))("a model of random weights: %s", (name) => {
  test("is timed in parts, and what was left out is extrapolated", async () => {
    const { whole, kinds } = CASES[name]!;
    const layersLeft = kinds.reduce((sum, [, layers]) => sum + layers, 0);
    const kept = withLayers(whole, layersLeft);
    const { gpu } = watchBindings();
    const engine = await load(kept, gpu);
    const logits = await freshChat(engine).logits(someTokens(40, 1, 300));
    expect(logits.every(Number.isFinite)).toBe(true);
    expect(new Set(logits).size).toBeGreaterThan(250);
    const options = { name, whole, kept, histories: [300], prompts: [256], budget: 160 };
    const found = await benchShape(engine, { ...options, runs: 1, report: () => {} });
    expect(found.decode.map(({ history, budget }) => [history, budget])).toEqual([
      [300, 160],
      [300, "full"],
    ]);
    for (const { parts, ms, extrapolated, work } of [...found.decode, ...found.prompts]) {
      expect(extrapolated).toBe(true);
      const layers = parts.filter((part) => part.name !== "scoring");
      expect(layers.map((part) => [part.name, part.layers, part.of])).toEqual([
        ...kinds,
        ["rest", 1, 1],
      ]);
      const sum = parts.reduce((all, part) => all + (part.ms * part.of) / part.layers, 0);
      expect(ms).toBeCloseTo(sum, 6);
      const bytes = parts.reduce((all, part) => all + (part.work.bytes * part.of) / part.layers, 0);
      expect(work.bytes).toBeCloseTo(bytes, 3);
    }
    // Pairs that were dropped are not read.
    const [dropped, all] = found.decode;
    expect(dropped!.work.bytes).toBeLessThan(all!.work.bytes);
    expect(shapeTable(found)).toContain("~");
    await engine.close();
  });
});

test("a token of Qwen3.5 0.8B moves no more than 1.3 of its states and weights, as the bindings of its dispatches say", async () => {
  const files = {} as CommandFiles;
  const whole = { ...(await readShape("qwen3.5-0.8b", files)), vocab_size: 2048 };
  const kept = withLayers(whole, 4);
  const watched = watchBindings();
  const engine = await load(kept, watched.gpu);
  const { state } = engine.internals;
  const history = 512;
  const found = await benchShape(engine, {
    ...{ name: "qwen3.5-0.8b", whole, kept, histories: [history], prompts: [] },
    ...{ budget: 512, runs: 1, report: () => {} },
  });
  const { transformer } = state.runner;
  const { states } = engine.internals.config;
  const stateBytes = states.reduce((sum, { words }) => sum + words * 4, 0);
  const moved = bytesMoved(
    watched,
    engine,
    [...transformer.decode(1, 8), ...transformer.head(1)],
    history,
  );
  const { weights } = engine.memory();
  expect(states.length).toBe(3);
  expect(moved).toBeGreaterThan(weights + 2 * stateBytes);
  expect(moved / (weights + stateBytes)).toBeLessThan(1.3);
  // What the bench counts, from shapes alone, is what the bindings say; activations are bound for the widest layer.
  const full = found.decode.find(({ budget }) => budget === "full")!;
  const counted = full.parts.reduce((sum, { work }) => sum + work.bytes, 0);
  expect(counted / moved).toBeGreaterThan(0.95);
  expect(counted / moved).toBeLessThan(1.02);
  await engine.close();
});
