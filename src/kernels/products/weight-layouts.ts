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

export type LayoutName =
  | "q2"
  | "q3"
  | "q4"
  | "q4_k"
  | "q4_wide"
  | "q5"
  | "q5_k"
  | "q5_wide"
  | "q6"
  | "q8"
  | "iq4"
  | "fp4"
  | "f16"
  | "bf16"
  | "f32";

/** What the words of a stream hold: how each is packed is told by packing.ts and repack-decoded.ts. */
export type Packed = CodePart | ScalePart | StepPart | "floats";
/** Bits of the codes. */
export type CodePart = "bytes" | "nibbles" | "lowPairs" | "topPairs" | "thirdBits" | "fifthBits";
/** A scale, or a scale and a minimum, of each group. */
export type ScalePart = "scales" | "scaleMins" | "halfScaleMins";
/** The whole numbers that d and dmin of K types are multiplied by: a scale's and a minimum's, two scales', two of both. */
export type StepPart = "stepMultiples" | "twoMultiples" | "fourMultiples";

export interface WeightStream {
  /** Name of the WGSL variable. */
  readonly name: "quants" | "high" | "scales";
  /** WGSL type of the variable. */
  readonly type: string;
  /** 32-bit words per block. */
  readonly words: number;
  readonly holds: Packed;
}

export interface WeightLayout {
  readonly name: LayoutName;
  readonly streams: readonly WeightStream[];
  /** WGSL: `load_block`, `block_step`, `block_vec`, `prepare`, `block_dot`, for streams declared under their names. */
  code(): Promise<readonly Wgsl[]>;
}

const stream =
  (name: WeightStream["name"]) =>
  (holds: Packed, words: number, type: string): WeightStream => ({ name, type, words, holds });
const quants = stream("quants");
const high = stream("high");
const scales = stream("scales");

const NIBBLES = quants("nibbles", 4, "array<vec4<u32>>");
const PAIRS = quants("lowPairs", 2, "array<vec2<u32>>");
/** Scale and minimum as two halves in a word, as multiples of two blocks' d and dmin, or as two f32. */
const HALF_PAIR = scales("halfScaleMins", 1, "array<u32>");
const K_PAIR = scales("stepMultiples", 1, "array<vec2<u32>>");
const F32_PAIR = scales("scaleMins", 2, "array<vec2<f32>>");
const SCALE = scales("scales", 1, "array<f32>");
/** Of two groups of 16 weights. */
const TWO_PAIRS = scales("fourMultiples", 1, "array<vec2<u32>>");
const TWO_SCALES = scales("twoMultiples", 1, "array<u32>");
const FIFTH_BITS = high("fifthBits", 1, "array<u32>");

/** Code of what the default model has. */
const CODE: Partial<Record<LayoutName, readonly Wgsl[]>> = {
  q4: [scalesF16, weightsQ4],
  q4_wide: [scalesF32, weightsQ4],
  q8: [weightsQ8],
};

const layout = (name: LayoutName, ...streams: readonly WeightStream[]): WeightLayout => ({
  name,
  streams,
  async code() {
    return CODE[name] ?? (await laterCode())[name]!;
  },
});

const laterCode = async (): Promise<typeof CODE> =>
  (await loadLater("this model's weights", () => import("./other-layouts.ts"))).OTHER_LAYOUTS;

export const LAYOUTS: Readonly<Record<LayoutName, WeightLayout>> = {
  q2: layout("q2", PAIRS, TWO_PAIRS),
  q3: layout("q3", PAIRS, high("thirdBits", 1, "array<u32>"), TWO_SCALES),
  q4: layout("q4", NIBBLES, HALF_PAIR),
  q4_k: layout("q4_k", NIBBLES, K_PAIR),
  q4_wide: layout("q4_wide", NIBBLES, F32_PAIR),
  q5: layout("q5", NIBBLES, FIFTH_BITS, HALF_PAIR),
  q5_k: layout("q5_k", NIBBLES, FIFTH_BITS, K_PAIR),
  q5_wide: layout("q5_wide", NIBBLES, FIFTH_BITS, F32_PAIR),
  q6: layout("q6", NIBBLES, high("topPairs", 2, "array<vec2<u32>>"), TWO_SCALES),
  q8: layout("q8", quants("bytes", 8, "array<vec4<u32>>"), SCALE),
  iq4: layout("iq4", NIBBLES, SCALE),
  fp4: layout("fp4", NIBBLES, SCALE),
  f16: layout("f16", quants("floats", 16, "array<vec2<u32>>")),
  bf16: layout("bf16", quants("floats", 16, "array<vec2<u32>>")),
  f32: layout("f32", quants("floats", 32, "array<vec4<f32>>")),
};

const OF_TYPE: Readonly<Record<GgmlType, LayoutName>> = {
  Q2_K: "q2",
  Q3_K: "q3",
  Q4_0: "q4",
  Q4_1: "q4",
  Q4_K: "q4_k",
  Q5_0: "q5",
  Q5_1: "q5",
  Q5_K: "q5_k",
  Q6_K: "q6",
  Q8_0: "q8",
  IQ4_NL: "iq4",
  IQ4_XS: "iq4",
  MXFP4: "fp4",
  F16: "f16",
  BF16: "bf16",
  F32: "f32",
};

/**
 * The layout of a tensor type. `wideScales` takes f32 scales, 4 bytes per block more, for those of most files: on CPU
 * adapters unpacking halves costs as much as half of the product (SwiftShader 2.1 -> 3.2 GFLOPS).
 */
export function layoutOfType(type: GgmlType, wideScales = false): WeightLayout {
  const name = OF_TYPE[type];
  if (wideScales && /^q[45]/.test(name)) return LAYOUTS[wide(name)];
  return LAYOUTS[name];
}

const wide = (name: LayoutName) => `${name.slice(0, 2) as "q4" | "q5"}_wide` as const;

/** The smallest layout that holds both types exactly, or undefined where there is none. */
export function commonLayout(a: WeightLayout, b: WeightLayout): WeightLayout | undefined {
  if (a === b) return a;
  const [low, high] = [a.name, b.name].sort() as [LayoutName, LayoutName];
  // With scales of one kind the fifth bits of some are 0; others have only f32 in common.
  if (/^q4(.*) q5\1$/.test(`${low} ${high}`)) return LAYOUTS[high];
  if (/^q[45].* q[45]/.test(`${low} ${high}`)) return LAYOUTS[wide(high)];
  return [low, high].every((name) => /^(b?f16|f32)$/.test(name)) ? LAYOUTS.f32 : undefined;
}
