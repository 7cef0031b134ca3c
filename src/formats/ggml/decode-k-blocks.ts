/** Decoders of the K types: blocks of 256 weights whose groups have small whole numbers as scales. See decode-blocks.ts. */
import type { DecodedBlocks, Decoder } from "./block-decoder.ts";
import { half } from "./plain-formats.ts";

const int8 = (byte: number): number => (byte << 24) >> 24;

/** Keeps d and dmin of the block whose weights begin at `w`. */
function keepSteps(steps: Float32Array, w: number, d: number, dmin = 0): void {
  const at = 2 * (w / 256);
  steps[at] = d;
  steps[at + 1] = dmin;
}

/** 6-bit scale and min of sub-block j out of the 12 packed bytes of Q4_K and Q5_K. */
function packedScale(bytes: Uint8Array, at: number, j: number): number {
  return j < 4 ? bytes[at + j]! & 63 : (bytes[at + j + 4]! & 15) | ((bytes[at + j - 4]! >> 6) << 4);
}

function packedMin(bytes: Uint8Array, at: number, j: number): number {
  return j < 4 ? bytes[at + j + 4]! & 63 : (bytes[at + j + 4]! >> 4) | ((bytes[at + j]! >> 6) << 4);
}

/** Shared by Q4_K and Q5_K: 8 scales and mins, then 4 x 32 bytes of nibbles at `quants`. */
function nibblesK(
  bytes: Uint8Array,
  at: number,
  quants: number,
  out: DecodedBlocks,
  w: number,
  g: number,
): void {
  const { codes, scales, mins, steps } = out;
  const d = half(bytes, at);
  const dmin = half(bytes, at + 2);
  keepSteps(steps, w, d, dmin);
  for (let j = 0; j < 8; j++) {
    scales[g + j] = d * packedScale(bytes, at + 4, j);
    mins[g + j] = -(dmin * packedMin(bytes, at + 4, j));
  }
  for (let j = 0; j < 4; j++) {
    const from = quants + 32 * j;
    const to = w + 64 * j;
    for (let i = 0; i < 32; i++) {
      const byte = bytes[from + i]!;
      codes[to + i] = byte & 15;
      codes[to + i + 32] = byte >> 4;
    }
  }
}

/**
 * 64 bytes of bit pairs at `quants`: the pair at bits 2j of byte i is weight 32j + i of its half of the block, whose
 * second half has the second 32 bytes.
 */
function bitPairs(bytes: Uint8Array, quants: number, codes: Uint8Array, w: number): void {
  for (let h = 0; h < 2; h++)
    for (let i = 0; i < 32; i++) {
      const byte = bytes[quants + 32 * h + i]!;
      for (let j = 0; j < 4; j++) codes[w + 128 * h + 32 * j + i] = (byte >> (2 * j)) & 3;
    }
}

/** 6-bit scale j of the 12 packed bytes of Q3_K, 32 taken off. */
function scaleQ3(bytes: Uint8Array, at: number, j: number): number {
  const low = (bytes[at + (j & 7)]! >> (j < 8 ? 0 : 4)) & 15;
  return (low | (((bytes[at + 8 + (j & 3)]! >> (2 * (j >> 2))) & 3) << 4)) - 32;
}

export const K_DECODERS = {
  // 16 bytes of scale and min nibbles, 64 bytes of bit pairs, d:f16, dmin:f16; weight = d s q - dmin m
  Q2_K(bytes, at, { codes, scales, mins, steps }, w, g) {
    const d = half(bytes, at + 80);
    const dmin = half(bytes, at + 82);
    keepSteps(steps, w, d, dmin);
    for (let j = 0; j < 16; j++) {
      scales[g + j] = d * (bytes[at + j]! & 15);
      mins[g + j] = -(dmin * (bytes[at + j]! >> 4));
    }
    bitPairs(bytes, at + 16, codes, w);
  },
  // 32 bytes of third bits (bit j of byte i: weight 32j + i), 64 bytes of bit pairs, 12 scale bytes, d:f16; weight = d s (q - 4)
  Q3_K(bytes, at, { codes, scales, mins, steps }, w, g) {
    const d = half(bytes, at + 108);
    keepSteps(steps, w, d);
    for (let j = 0; j < 16; j++) {
      const scale = d * scaleQ3(bytes, at + 96, j);
      scales[g + j] = scale;
      mins[g + j] = -4 * scale;
    }
    bitPairs(bytes, at + 32, codes, w);
    for (let k = 0; k < 256; k++)
      codes[w + k] = codes[w + k]! | (((bytes[at + (k & 31)]! >> (k >> 5)) & 1) << 2);
  },
  // d:f16, dmin:f16, 12 scale bytes, 128 nibble bytes; weight = d s q - dmin m
  Q4_K(bytes, at, out, w, g) {
    nibblesK(bytes, at, at + 16, out, w, g);
  },
  // as Q4_K, with 32 bytes of fifth bits (bit j of byte i: weight i of sub-block j) before the nibbles
  Q5_K(bytes, at, out, w, g) {
    nibblesK(bytes, at, at + 48, out, w, g);
    const { codes } = out;
    for (let j = 0; j < 8; j++)
      for (let i = 0; i < 32; i++) {
        const k = w + 32 * j + i;
        codes[k] = codes[k]! | (((bytes[at + 16 + i]! >> j) & 1) << 4);
      }
  },
  // 128 low-nibble bytes, 64 bytes of bit pairs, 16 signed scales, d:f16; weight = d s (q - 32)
  Q6_K(bytes, at, out, w, g) {
    const { codes, scales, mins, steps } = out;
    const d = half(bytes, at + 208);
    keepSteps(steps, w, d);
    for (let j = 0; j < 16; j++) {
      const scale = d * int8(bytes[at + 192 + j]!);
      scales[g + j] = scale;
      mins[g + j] = -32 * scale;
    }
    for (let h = 0; h < 2; h++) {
      const low = at + 64 * h;
      const high = at + 128 + 32 * h;
      const to = w + 128 * h;
      for (let i = 0; i < 32; i++) {
        const a = bytes[low + i]!;
        const b = bytes[low + 32 + i]!;
        const pairs = bytes[high + i]!;
        codes[to + i] = (a & 15) | ((pairs & 3) << 4);
        codes[to + i + 32] = (b & 15) | (((pairs >> 2) & 3) << 4);
        codes[to + i + 64] = (a >> 4) | (((pairs >> 4) & 3) << 4);
        codes[to + i + 96] = (b >> 4) | ((pairs >> 6) << 4);
      }
    }
  },
} satisfies Record<string, Decoder>;
