/** Rows of blocks whose codes must be taken apart -> words of a GPU layout. */
import type { QuantizedType } from "../../formats/ggml/code-formats.ts";
import {
  allocateDecodedBlocks,
  type DecodedBlocks,
  decodeBlocks,
} from "../../formats/ggml/decode-blocks.ts";
import { GGML_TYPES } from "../../formats/ggml/ggml-types.ts";
import { type Pack, packBytes, type Repack, scalePacker } from "./packing.ts";
import { BLOCK, type WeightLayout, type WeightStream } from "./weight-layouts.ts";

/** A packer of rows of `cols` weights: see createRepacker. */
export function decodedRepacker(layout: WeightLayout, type: QuantizedType, cols: number): Repack {
  const fileBlocks = cols / GGML_TYPES[type].blockSize;
  const blocks = cols / BLOCK;
  const decoded = allocateDecodedBlocks(type, fileBlocks);
  const packers = layout.streams.map(({ name, words }) => ({
    words,
    pack: packerOf(layout, name),
  }));
  return (bytes, row, out, to) => {
    decodeBlocks(type, bytes, row * fileBlocks, fileBlocks, decoded);
    for (const [i, { words, pack }] of packers.entries())
      pack(decoded, blocks, out[i]!, to * blocks * words, type);
  };
}

function packerOf(layout: WeightLayout, stream: WeightStream["name"]): Pack<DecodedBlocks> {
  if (stream === "quants") return layout.name === "q8" ? PACKERS.bytes : PACKERS.nibbles;
  if (stream === "high") return layout.name === "q6" ? PACKERS.topBits : PACKERS.fifthBits;
  return scalePacker(layout);
}

const PACKERS = {
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
  fifthBits({ codes }, blocks, out, at) {
    for (let w = 0; w < blocks * BLOCK; w += BLOCK) {
      let word = 0;
      for (let k = 0; k < BLOCK; k++) word |= ((codes[w + k]! >> 4) & 1) << k;
      out[at++] = word;
    }
  },
  topBits({ codes }, blocks, out, at) {
    for (let w = 0; w < blocks * BLOCK; w += 16) {
      let word = 0;
      for (let k = 0; k < 16; k++) word |= ((codes[w + k]! >> 4) & 3) << (2 * k);
      out[at++] = word;
    }
  },
} satisfies Record<string, Pack<DecodedBlocks>>;
