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
  | "q4_wide"
  | "q5"
  | "q5_wide"
  | "q6"
  | "q8"
  | "iq4"
  | "fp4"
  | "f16"
  | "bf16"
  | "f32";

/** What the words of a stream hold: how each is packed is told by packing.ts and repack-decoded.ts. */
export type Packed = CodePart | ScalePart | "floats";
/** Bits of the codes. */
export type CodePart = "bytes" | "nibbles" | "lowPairs" | "topPairs" | "thirdBits" | "fifthBits";
/** A scale, or a scale and a minimum, of each group. */
export type ScalePart = "scales" | "scaleMins" | "halfScaleMins";

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
/** Scale and minimum as two halves in a word, or as two f32 (K types, whose products need them). */
const HALF_PAIR = scales("halfScaleMins", 1, "array<u32>");
const F32_PAIR = scales("scaleMins", 2, "array<vec2<f32>>");
const SCALE = scales("scales", 1, "array<f32>");
/** Scales of two groups of 16 weights. */
const TWO_SCALES = scales("scales", 2, "array<vec2<f32>>");
const FIFTH_BITS = high("fifthBits", 1, "array<u32>");

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
  q2: layout("q2", [PAIRS, scales("scaleMins", 4, "array<vec4<f32>>")], other("q2")),
  q3: layout("q3", [PAIRS, high("thirdBits", 1, "array<u32>"), TWO_SCALES], other("q3")),
  q4: layout("q4", [NIBBLES, HALF_PAIR], here(scalesF16, weightsQ4)),
  q4_wide: layout("q4_wide", [NIBBLES, F32_PAIR], here(scalesF32, weightsQ4)),
  q5: layout("q5", [NIBBLES, FIFTH_BITS, HALF_PAIR], other("q5", scalesF16)),
  q5_wide: layout("q5_wide", [NIBBLES, FIFTH_BITS, F32_PAIR], other("q5", scalesF32)),
  q6: layout("q6", [NIBBLES, high("topPairs", 2, "array<vec2<u32>>"), TWO_SCALES], other("q6")),
  q8: layout("q8", [quants("bytes", 8, "array<vec4<u32>>"), SCALE], here(weightsQ8)),
  iq4: layout("iq4", [NIBBLES, SCALE], other("iq4")),
  fp4: layout("fp4", [NIBBLES, SCALE], other("fp4")),
  f16: layout("f16", [quants("floats", 16, "array<vec2<u32>>")], other("f16")),
  bf16: layout("bf16", [quants("floats", 16, "array<vec2<u32>>")], other("bf16")),
  f32: layout("f32", [quants("floats", 32, "array<vec4<f32>>")], other("f32")),
};

const OF_TYPE: Readonly<Record<GgmlType, LayoutName>> = {
  Q2_K: "q2",
  Q3_K: "q3",
  Q4_0: "q4",
  Q4_1: "q4",
  Q4_K: "q4_wide",
  Q5_0: "q5",
  Q5_1: "q5",
  Q5_K: "q5_wide",
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
