import { f16ToF32 } from "./float16.ts";
import type { GgmlType } from "./ggml-types.ts";

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
