/**
 * Takes quantised blocks apart into integer codes and f32 scales, for repacking without
 * requantising:
 *
 *   weight[i] = scales[g] * q[i] + mins[g],   g = floor(i / groupSize)
 *
 * in f32, with q[i] = codes[i] read as unsigned, or as a signed byte where `CODE_FORMATS[type].signed`
 * (Q8_0 only). `codes` and groups are in weight order, so the odd nibble orders of the file end here.
 *
 * How exact that is:
 * - Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: scales (and mins of the _1 types) are the file's halves, so they
 *   fit f16 unchanged. mins of the _0 types are -zero * scale: exact in f32, and in f16 short of
 *   overflow.
 * - K types: scale = half x 6-bit (Q6_K: 8-bit) integer, exact in f32, up to 11 bits + 8 wide, so
 *   storing it as f16 would round it by up to 2^-11 relative.
 * - Symmetric types (`zero` set): scale * (q - zero) equals scale * q + min, except that a weight of
 *   zero may carry the other sign.
 *
 * Nothing is allocated: the caller brings `out`, large enough for `blockCount` blocks.
 * Layouts: ggml-common.h (`block_q4_0` ...) and ggml-quants.c (`dequantize_row_*`) of ggml.
 */
import {
  CODE_FORMATS,
  type DecodedScales,
  half,
  PLAIN_FORMATS,
  type PlainType,
  type QuantizedType,
} from "./code-formats.ts";
import { GGML_TYPES } from "./ggml-types.ts";

export interface DecodedBlocks extends DecodedScales {
  /** One byte per weight. */
  readonly codes: Uint8Array;
}

/** Room for `blockCount` blocks of `type`. */
export function allocateDecodedBlocks(type: QuantizedType, blockCount: number): DecodedBlocks {
  const weights = blockCount * GGML_TYPES[type].blockSize;
  const groups = weights / CODE_FORMATS[type].groupSize;
  return {
    codes: new Uint8Array(weights),
    scales: new Float32Array(groups),
    mins: new Float32Array(groups),
  };
}

/** Decodes the block at byte `at` into weights from `w` and groups from `g`. */
type Decoder = (bytes: Uint8Array, at: number, out: DecodedBlocks, w: number, g: number) => void;

const int8 = (byte: number): number => (byte << 24) >> 24;

/** 16 bytes of nibbles: the low ones are weights 0 to 15, the high ones 16 to 31. */
function nibbles16(bytes: Uint8Array, at: number, codes: Uint8Array, w: number): void {
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + i]!;
    codes[w + i] = byte & 15;
    codes[w + i + 16] = byte >> 4;
  }
}

/** Adds the fifth bits, weight i's at bit i of a little-endian u32. */
function fifthBits(bytes: Uint8Array, at: number, codes: Uint8Array, w: number): void {
  for (let i = 0; i < 32; i++)
    codes[w + i] = codes[w + i]! | (((bytes[at + (i >> 3)]! >> (i & 7)) & 1) << 4);
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
  const { codes, scales, mins } = out;
  const d = half(bytes, at);
  const dmin = half(bytes, at + 2);
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
    const { codes, scales, mins } = out;
    const d = half(bytes, at + 208);
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
