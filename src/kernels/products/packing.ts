/** What packers of all types share. */
import { WinnowError } from "../../errors.ts";
import {
  CODE_FORMATS,
  type DecodedScales,
  type QuantizedType,
} from "../../formats/ggml/code-formats.ts";
import { f32ToF16 } from "../../formats/ggml/float16.ts";
import { BLOCK, type ScalePart } from "./weight-layouts.ts";

/**
 * Packs row `row` of `bytes` into row `to` of the streams `out` (words, in the layout's order).
 * Rows in `bytes` are whole and adjacent.
 */
export type Repack = (
  bytes: Uint8Array,
  row: number,
  out: readonly Uint32Array[],
  to: number,
) => void;

/** Writes what `blocks` blocks of 32 weights have to `out` from `at` on. */
export type Pack<T> = (
  decoded: T,
  blocks: number,
  out: Uint32Array,
  at: number,
  type: QuantizedType,
) => void;

export const SCALE_PACKERS: Readonly<Record<ScalePart, Pack<DecodedScales>>> = {
  halfScaleMins({ scales, mins }, blocks, out, at, type) {
    for (let block = 0; block < blocks; block++) {
      const min = f32ToF16(mins[block]!);
      if ((min & 0x7c00) === 0x7c00 && Number.isFinite(mins[block]!))
        throw new WinnowError(
          "unsupported_model",
          `a ${type} scale of ${scales[block]} is too large for its minimum to fit f16`,
        );
      out[at++] = f32ToF16(scales[block]!) | (min << 16);
    }
  },
  // Two f32 per group: q2 has two groups per block, the others one.
  scaleMins({ scales, mins }, blocks, out, at, type) {
    const groups = (blocks * BLOCK) / CODE_FORMATS[type].groupSize;
    for (let group = 0; group < groups; group++) {
      out[at++] = bits(scales[group]!);
      out[at++] = bits(mins[group]!);
    }
  },
  // One f32 per group: q3 and q6 have two groups per block, the others one.
  scales({ scales }, blocks, out, at, type) {
    const groups = (blocks * BLOCK) / CODE_FORMATS[type].groupSize;
    for (let group = 0; group < groups; group++) out[at++] = bits(scales[group]!);
  },
};

const floats = new Float32Array(1);
const floatBits = new Uint32Array(floats.buffer);

function bits(value: number): number {
  floats[0] = value;
  return floatBits[0]!;
}

/** Four words of 16 bytes, byte j of word c from byte 4j + c; where the next go. */
export function packBytes(codes: Uint8Array, from: number, out: Uint32Array, at: number): number {
  for (let c = from; c < from + 4; c++)
    out[at++] = codes[c]! | (codes[c + 4]! << 8) | (codes[c + 8]! << 16) | (codes[c + 12]! << 24);
  return at;
}
