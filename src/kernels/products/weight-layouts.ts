/**
 * How weight matrices lie on the GPU. Every GGUF type becomes one of a few layouts; a layout is a
 * set of streams, each a storage buffer, cut into blocks of 32 weights of one row (block =
 * row * blocksPerRow + k / 32). Nothing is requantised: shaders/lib/weights_*.wgsl give back the
 * weights of the `gguf` package bit for bit (a zero may change its sign).
 */

import weightsQ4 from "../../../shaders/products/weights/weights_q4.wgsl";
import weightsQ8 from "../../../shaders/products/weights/weights_q8.wgsl";
import scalesF16 from "../../../shaders/products/weights/weights_scales_f16.wgsl";
import scalesF32 from "../../../shaders/products/weights/weights_scales_f32.wgsl";
import { loadLater } from "../../errors.ts";
import type { GgmlType } from "../../formats/ggml/ggml-types.ts";
import type { Wgsl } from "../../gpu/kernel.ts";

/** Weights of a block. */
export const BLOCK = 32;

export type LayoutName = "q4" | "q4_wide" | "q5" | "q5_wide" | "q6" | "q8" | "f16" | "bf16" | "f32";

export interface WeightStream {
  /** Name of the WGSL variable. */
  readonly name: "quants" | "high" | "scales";
  /** WGSL type of the variable. */
  readonly type: string;
  /** 32-bit words per block. */
  readonly words: number;
}

export interface WeightLayout {
  readonly name: LayoutName;
  readonly streams: readonly WeightStream[];
  /** WGSL: `load_block`, `block_step`, `block_vec`, `prepare`, `block_dot`, for streams declared under their names. */
  code(): Promise<readonly Wgsl[]>;
}

const quants = (words: number, type = "array<vec4<u32>>"): WeightStream => ({
  name: "quants",
  type,
  words,
});
const scales = (type: string, words: number): WeightStream => ({ name: "scales", type, words });
const high = (type: string, words: number): WeightStream => ({ name: "high", type, words });

/** Scale and minimum as two halves in a word, or as two f32 (K types, whose products need them). */
const HALF_PAIR = scales("array<u32>", 1);
const F32_PAIR = scales("array<vec2<f32>>", 2);
const FIFTH_BITS = high("array<u32>", 1);

const layout = (
  name: LayoutName,
  streams: readonly WeightStream[],
  code: WeightLayout["code"],
): WeightLayout => ({ name, streams, code });

type Other = keyof typeof import("./other-layouts.ts");

/** The code of a layout that most sessions never need, with that of its scales. */
const other =
  (name: Other, ...rest: readonly Wgsl[]) =>
  async (): Promise<readonly Wgsl[]> => {
    const codes = await loadLater("this model's weights", () => import("./other-layouts.ts"));
    return [...rest, codes[name]];
  };

const here =
  (...code: readonly Wgsl[]) =>
  async (): Promise<readonly Wgsl[]> =>
    code;

export const LAYOUTS: Readonly<Record<LayoutName, WeightLayout>> = {
  q4: layout("q4", [quants(4), HALF_PAIR], here(scalesF16, weightsQ4)),
  q4_wide: layout("q4_wide", [quants(4), F32_PAIR], here(scalesF32, weightsQ4)),
  q5: layout("q5", [quants(4), FIFTH_BITS, HALF_PAIR], other("q5", scalesF16)),
  q5_wide: layout("q5_wide", [quants(4), FIFTH_BITS, F32_PAIR], other("q5", scalesF32)),
  q6: layout("q6", [quants(4), high("array<vec2<u32>>", 2), F32_PAIR], other("q6")),
  q8: layout("q8", [quants(8), scales("array<f32>", 1)], here(weightsQ8)),
  f16: layout("f16", [quants(16, "array<vec2<u32>>")], other("f16")),
  bf16: layout("bf16", [quants(16, "array<vec2<u32>>")], other("bf16")),
  f32: layout("f32", [quants(32, "array<vec4<f32>>")], other("f32")),
};

const OF_TYPE: Readonly<Record<GgmlType, LayoutName>> = {
  Q4_0: "q4",
  Q4_1: "q4",
  Q4_K: "q4_wide",
  Q5_0: "q5",
  Q5_1: "q5",
  Q5_K: "q5_wide",
  Q6_K: "q6",
  Q8_0: "q8",
  F16: "f16",
  BF16: "bf16",
  F32: "f32",
};

/**
 * The layout of a tensor type. `wideScales` takes f32 for half scales, 4 bytes per block more: on CPU
 * adapters unpacking halves costs as much as half of the product (SwiftShader 2.1 -> 3.2 GFLOPS).
 */
export function layoutOfType(type: GgmlType, wideScales = false): WeightLayout {
  const name = OF_TYPE[type];
  if (wideScales && (name === "q4" || name === "q5")) return LAYOUTS[`${name}_wide`];
  return LAYOUTS[name];
}

/** Layouts each of which holds all that the ones before it hold. */
const CHAINS: readonly (readonly LayoutName[])[] = [
  ["q4", "q4_wide", "q5_wide"],
  ["q4", "q5", "q5_wide"],
  ["f16", "f32"],
  ["bf16", "f32"],
];

/** The smallest layout that holds both types exactly, or undefined where there is none. */
export function commonLayout(a: WeightLayout, b: WeightLayout): WeightLayout | undefined {
  if (a === b) return a;
  for (const chain of CHAINS) {
    const [i, j] = [chain.indexOf(a.name), chain.indexOf(b.name)];
    if (i >= 0 && j >= 0) return LAYOUTS[chain[Math.max(i, j)]!];
  }
  // Q4_K with Q5_0 or Q5_1: on no single chain.
  const fives = [a.name, b.name].every((name) => /^q[45]/.test(name));
  if (fives) return LAYOUTS.q5_wide;
  return [a.name, b.name].every((name) => /^(b?f16|f32)$/.test(name)) ? LAYOUTS.f32 : undefined;
}
