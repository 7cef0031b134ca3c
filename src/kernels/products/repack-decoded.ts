/** Rows of blocks whose codes must be taken apart -> words of a GPU layout. */
import type { DecodedBlocks } from "../../formats/ggml/block-decoder.ts";
import { allocateDecodedBlocks, decodeBlocks } from "../../formats/ggml/decode-blocks.ts";
import { f32ToF16 } from "../../formats/ggml/float16.ts";
import { GGML_TYPES, type QuantizedType } from "../../formats/ggml/ggml-types.ts";
import { type Pack, packBytes, type Repack, SCALE_PACKERS } from "./packing.ts";
import { BLOCK, type Packed, type WeightLayout } from "./weight-layouts.ts";

/** A packer of rows of `cols` weights: see createRepacker. */
export function decodedRepacker(layout: WeightLayout, type: QuantizedType, cols: number): Repack {
  const fileBlocks = cols / GGML_TYPES[type].blockSize;
  const blocks = cols / BLOCK;
  const decoded = allocateDecodedBlocks(type, fileBlocks);
  const packers = layout.streams.map(({ holds, words }) => ({
    words,
    pack: PACKERS[holds as Exclude<Packed, "floats">],
  }));
  return (bytes, row, out, to) => {
    decodeBlocks(type, bytes, row * fileBlocks, fileBlocks, decoded);
    for (const [i, { words, pack }] of packers.entries())
      pack(decoded, blocks, out[i]!, to * blocks * words, type);
  };
}

/** Bit `shift` of each code, weight k's at bit k of its block's word. */
const bitsFrom =
  (shift: number): Pack<DecodedBlocks> =>
  ({ codes }, blocks, out, at) => {
    for (let w = 0; w < blocks * BLOCK; w += BLOCK) {
      let word = 0;
      for (let k = 0; k < BLOCK; k++) word |= ((codes[w + k]! >> shift) & 1) << k;
      out[at++] = word;
    }
  };

/** Bits `shift` and `shift` + 1 of each code, weight k's at bits 2 (k % 16) of word k / 16. */
const pairsFrom =
  (shift: number): Pack<DecodedBlocks> =>
  ({ codes }, blocks, out, at) => {
    for (let w = 0; w < blocks * BLOCK; w += 16) {
      let word = 0;
      for (let k = 0; k < 16; k++) word |= ((codes[w + k]! >> shift) & 3) << (2 * k);
      out[at++] = word;
    }
  };

/** d and dmin of the eight blocks of 32 weights that a block of a K type makes. */
const stepsOf = (steps: Float32Array, block: number): [d: number, dmin: number] => {
  const at = 2 * (block >> 3);
  return [steps[at]!, steps[at + 1]!];
};
const stepBits = (step: number): number => f32ToF16(step) << 16;
/** The byte of a whole number that `step` was multiplied by; any does where that is 0. */
const multiple = (product: number, step: number): number => (product / step) & 255;

const PACKERS: Readonly<Record<Exclude<Packed, "floats">, Pack<DecodedBlocks>>> = {
  ...SCALE_PACKERS,
  // Nibble j of word c: low four bits of weight 4j + c.
  nibbles({ codes }, blocks, out, at) {
    for (let w = 0; w < blocks * BLOCK; w += BLOCK)
      for (let c = w; c < w + 4; c++) {
        let word = 0;
        for (let j = 0; j < 8; j++) word |= (codes[c + 4 * j]! & 15) << (4 * j);
        out[at++] = word;
      }
  },
  // Byte j of word c of vector v: weight 16v + 4j + c.
  bytes({ codes }, blocks, out, at) {
    for (let w = 0; w < blocks * BLOCK; w += 16) at = packBytes(codes, w, out, at);
  },
  stepMultiples({ scales, mins, steps }, blocks, out, at) {
    for (let block = 0; block < blocks; block++) {
      const [d, dmin] = stepsOf(steps, block);
      const step = stepBits(block % 2 ? dmin : d);
      out[at++] = multiple(scales[block]!, d) | (multiple(mins[block]!, -dmin) << 8) | step;
    }
  },
  twoMultiples({ scales, steps }, blocks, out, at) {
    for (let block = 0; block < blocks; block++) {
      const [d] = stepsOf(steps, block);
      const [first, second] = [scales[2 * block]!, scales[2 * block + 1]!];
      out[at++] = multiple(first, d) | (multiple(second, d) << 8) | stepBits(d);
    }
  },
  fourMultiples({ scales, mins, steps }, blocks, out, at) {
    for (let block = 0; block < blocks; block++) {
      const [d, dmin] = stepsOf(steps, block);
      let word = stepBits(block % 2 ? dmin : d);
      for (let half = 0; half < 2; half++) {
        const group = 2 * block + half;
        word |= multiple(scales[group]!, d) << (4 * half);
        word |= multiple(mins[group]!, -dmin) << (8 + 4 * half);
      }
      out[at++] = word;
    }
  },
  thirdBits: bitsFrom(2),
  fifthBits: bitsFrom(4),
  lowPairs: pairsFrom(0),
  topPairs: pairsFrom(4),
};
