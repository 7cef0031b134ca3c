/** How quantised types hold weights: weight = scale * level + min, see decode-blocks.ts. */
import type { QuantizedType } from "./ggml-types.ts";

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
