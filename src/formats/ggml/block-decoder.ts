/** What decoders of all types share. */
import type { DecodedScales } from "./plain-formats.ts";

export interface DecodedBlocks extends DecodedScales {
  /** One byte per weight. */
  readonly codes: Uint8Array;
  /** K types: d and dmin of each block. Its scales are whole multiples of d, its mins of -dmin (0 in symmetric types). */
  readonly steps: Float32Array;
}

/** Decodes the block at byte `at` into weights from `w` and groups from `g`. */
export type Decoder = (
  bytes: Uint8Array,
  at: number,
  out: DecodedBlocks,
  w: number,
  g: number,
) => void;

/** 16 bytes of nibbles: the low ones are weights 0 to 15, the high ones 16 to 31. */
export function nibbles16(bytes: Uint8Array, at: number, codes: Uint8Array, w: number): void {
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + i]!;
    codes[w + i] = byte & 15;
    codes[w + i + 16] = byte >> 4;
  }
}
