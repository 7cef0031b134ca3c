/** How quantised types hold weights: weight = scale * level + min, see decode-blocks.ts. */
import { f16ToF32 } from "./float16.ts";
import type { GgmlType } from "./ggml-types.ts";

export type QuantizedType = Exclude<GgmlType, "F32" | "F16" | "BF16">;

export interface CodeFormat {
  /** Weights that share a scale and a min. */
  readonly groupSize: 16 | 32;
  /** Bits of a code. */
  readonly bits: 2 | 3 | 4 | 5 | 6 | 8;
  readonly signed: boolean;
  /** What each code stands for, where that is not the code itself: 16 whole numbers of a byte. */
  readonly levels: readonly number[] | undefined;
  /** Symmetric types: the code that means zero, so mins = -zero * scales. Else undefined. */
  readonly zero: number | undefined;
  /** Scales and mins are halves in the file. */
  readonly halfScales: boolean;
}

const format = (
  groupSize: 16 | 32,
  bits: CodeFormat["bits"],
  zero: number | undefined,
  halfScales: boolean,
): CodeFormat => ({
  groupSize,
  bits,
  signed: bits === 8,
  levels: undefined,
  zero,
  halfScales,
});

const levelled = (halfScales: boolean, levels: readonly number[]): CodeFormat => ({
  ...format(32, 4, undefined, halfScales),
  levels,
});

/** `kvalues_iq4nl` of ggml: denser about zero, as weights are. */
const IQ4_LEVELS = [
  -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
] as const;

/** Twice the numbers that four bits of floating point hold (E2M1). */
const FP4_LEVELS = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12] as const;

export const CODE_FORMATS: Readonly<Record<QuantizedType, CodeFormat>> = {
  Q4_0: format(32, 4, 8, true),
  Q4_1: format(32, 4, undefined, true),
  Q5_0: format(32, 5, 16, true),
  Q5_1: format(32, 5, undefined, true),
  Q8_0: format(32, 8, 0, true),
  Q2_K: format(16, 2, undefined, false),
  Q3_K: format(16, 3, 4, false),
  Q4_K: format(32, 4, undefined, false),
  Q5_K: format(32, 5, undefined, false),
  Q6_K: format(16, 6, 32, false),
  IQ4_NL: levelled(true, IQ4_LEVELS),
  IQ4_XS: levelled(false, IQ4_LEVELS),
  MXFP4: levelled(false, FP4_LEVELS),
};

export const isQuantized = (type: GgmlType): type is QuantizedType => type in CODE_FORMATS;

export interface DecodedScales {
  /** One a group. */
  readonly scales: Float32Array;
  /** One a group. */
  readonly mins: Float32Array;
}

/** Types whose codes lie in a block of the file as they are, from byte `codesAt` on: they need not be taken apart. */
export type PlainType = "Q4_0" | "Q4_1" | "Q8_0";

interface PlainFormat {
  readonly codesAt: number;
  /** Decodes the scale and the min of the block at byte `at`. */
  scale(bytes: Uint8Array, at: number, out: DecodedScales, g: number): void;
}

export const PLAIN_FORMATS: Readonly<Record<PlainType, PlainFormat>> = {
  // d:f16, 16 nibble bytes; weight = d (q - 8)
  Q4_0: {
    codesAt: 2,
    scale(bytes, at, { scales, mins }, g) {
      const d = half(bytes, at);
      scales[g] = d;
      mins[g] = -8 * d;
    },
  },
  // d:f16, m:f16, 16 nibble bytes; weight = d q + m
  Q4_1: {
    codesAt: 4,
    scale(bytes, at, { scales, mins }, g) {
      scales[g] = half(bytes, at);
      mins[g] = half(bytes, at + 2);
    },
  },
  // d:f16, 32 signed bytes; weight = d q
  Q8_0: {
    codesAt: 2,
    scale(bytes, at, { scales, mins }, g) {
      scales[g] = half(bytes, at);
      mins[g] = 0;
    },
  },
};

export const isPlain = (type: GgmlType): type is PlainType => type in PLAIN_FORMATS;

/** The f16 at byte `at`. */
export const half = (bytes: Uint8Array, at: number): number =>
  f16ToF32(bytes[at]! | (bytes[at + 1]! << 8));
