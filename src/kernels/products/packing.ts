/** What packers of all types share. */
import { WinnowError } from "../../errors.ts";
import { f32ToF16 } from "../../formats/ggml/float16.ts";
import type { QuantizedType } from "../../formats/ggml/ggml-types.ts";
import type { DecodedScales } from "../../formats/ggml/plain-formats.ts";
import type { ScalePart } from "./weight-layouts.ts";

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

/** Writes what a row of `blocks` blocks of 32 weights has to `out` from `at` on. Scales are those of the row's groups. */
export type Pack<T> = (
  decoded: T,
  blocks: number,
  out: Uint32Array,
  at: number,
  type: QuantizedType,
) => void;

/** Per group of 16 or 32 weights. */
export const SCALE_PACKERS: Readonly<Record<ScalePart, Pack<DecodedScales>>> = {
  halfScaleMins({ scales, mins }, _, out, at, type) {
    for (let group = 0; group < scales.length; group++) {
      const min = f32ToF16(mins[group]!);
      if ((min & 0x7c00) === 0x7c00 && Number.isFinite(mins[group]!))
        throw new WinnowError(
          "unsupported_model",
          `a ${type} scale of ${scales[group]} is too large for its minimum to fit f16`,
        );
      out[at++] = f32ToF16(scales[group]!) | (min << 16);
    }
  },
  scaleMins({ scales, mins }, _, out, at) {
    for (let group = 0; group < scales.length; group++) {
      out[at++] = bits(scales[group]!);
      out[at++] = bits(mins[group]!);
    }
  },
  scales({ scales }, _, out, at) {
    for (const scale of scales) out[at++] = bits(scale);
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
