/**
 * Takes quantised blocks apart into integer codes and f32 scales, for repacking without
 * requantising:
 *
 *   weight[i] = scales[g] * q[i] + mins[g],   g = floor(i / groupSize)
 *
 * in f32, with q[i] = codes[i] read as unsigned, or as a signed byte where `CODE_FORMATS[type].signed`
 * (Q8_0 only), or `levels[codes[i]]` where the type has levels. `codes` and groups are in weight order, so the odd nibble orders of the file end here.
 *
 * How exact that is:
 * - Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: scales (and mins of the _1 types) are the file's halves, so they
 *   fit f16 unchanged. mins of the _0 types are -zero * scale: exact in f32, and in f16 short of
 *   overflow.
 * - K types and IQ4_XS: scale = half x 4-bit to 8-bit integer, exact in f32, up to 11 bits + 8 wide, so
 *   storing it as f16 would round it by up to 2^-11 relative.
 * - MXFP4: scale = a power of two, which f16 does not reach.
 * - Symmetric types (`zero` set): scale * (q - zero) equals scale * q + min, except that a weight of
 *   zero may carry the other sign.
 *
 * Nothing is allocated: the caller brings `out`, large enough for `blockCount` blocks.
 * Layouts: ggml-common.h (`block_q4_0` ...) and ggml-quants.c (`dequantize_row_*`) of ggml.
 */
import { type DecodedBlocks, type Decoder, nibbles16 } from "./block-decoder.ts";
import { CODE_FORMATS } from "./code-formats.ts";
import { K_DECODERS } from "./decode-k-blocks.ts";
import { LEVEL_DECODERS } from "./decode-level-blocks.ts";
import { GGML_TYPES, type QuantizedType } from "./ggml-types.ts";
import { half, PLAIN_FORMATS, type PlainType } from "./plain-formats.ts";

/** Room for `blockCount` blocks of `type`. */
export function allocateDecodedBlocks(type: QuantizedType, blockCount: number): DecodedBlocks {
  const weights = blockCount * GGML_TYPES[type].blockSize;
  const groups = weights / CODE_FORMATS[type].groupSize;
  return {
    codes: new Uint8Array(weights),
    scales: new Float32Array(groups),
    mins: new Float32Array(groups),
    steps: new Float32Array(2 * blockCount),
  };
}

/** Adds the fifth bits, weight i's at bit i of a little-endian u32. */
function fifthBits(bytes: Uint8Array, at: number, codes: Uint8Array, w: number): void {
  for (let i = 0; i < 32; i++)
    codes[w + i] = codes[w + i]! | (((bytes[at + (i >> 3)]! >> (i & 7)) & 1) << 4);
}

/** What a block of a plain type begins with, and where its codes do. */
function decodePlain(
  type: PlainType,
  bytes: Uint8Array,
  at: number,
  out: DecodedBlocks,
  g: number,
): number {
  const { codesAt, scale } = PLAIN_FORMATS[type];
  scale(bytes, at, out, g);
  return at + codesAt;
}

const DECODERS: Readonly<Record<QuantizedType, Decoder>> = {
  Q4_0(bytes, at, out, w, g) {
    nibbles16(bytes, decodePlain("Q4_0", bytes, at, out, g), out.codes, w);
  },
  Q4_1(bytes, at, out, w, g) {
    nibbles16(bytes, decodePlain("Q4_1", bytes, at, out, g), out.codes, w);
  },
  // d:f16, fifth bits:u32, 16 nibble bytes; weight = d (q - 16)
  Q5_0(bytes, at, out, w, g) {
    const d = half(bytes, at);
    out.scales[g] = d;
    out.mins[g] = -16 * d;
    nibbles16(bytes, at + 6, out.codes, w);
    fifthBits(bytes, at + 2, out.codes, w);
  },
  // d:f16, m:f16, fifth bits:u32, 16 nibble bytes; weight = d q + m
  Q5_1(bytes, at, out, w, g) {
    out.scales[g] = half(bytes, at);
    out.mins[g] = half(bytes, at + 2);
    nibbles16(bytes, at + 8, out.codes, w);
    fifthBits(bytes, at + 4, out.codes, w);
  },
  Q8_0(bytes, at, out, w, g) {
    const from = decodePlain("Q8_0", bytes, at, out, g);
    for (let i = 0; i < 32; i++) out.codes[w + i] = bytes[from + i]!;
  },
  ...K_DECODERS,
  ...LEVEL_DECODERS,
};

/**
 * Decodes blocks [firstBlock, firstBlock + blockCount) of `bytes` into `out`, from its start.
 * `bytes` must hold them whole; parseGguf has checked that for every tensor.
 */
export function decodeBlocks(
  type: QuantizedType,
  bytes: Uint8Array,
  firstBlock: number,
  blockCount: number,
  out: DecodedBlocks,
): void {
  const { blockSize, blockBytes } = GGML_TYPES[type];
  const groups = blockSize / CODE_FORMATS[type].groupSize;
  const decode = DECODERS[type];
  for (let block = 0; block < blockCount; block++)
    decode(bytes, (firstBlock + block) * blockBytes, out, block * blockSize, block * groups);
}
