/** Rows of a GGUF tensor -> words of a GPU layout (see weight-layouts.ts). Pure: no GPU. */
import { WinnowError } from "../../errors.ts";
import {
  allocateDecodedBlocks,
  CODE_FORMATS,
  type DecodedBlocks,
  decodeBlocks,
  isPlain,
  isQuantized,
  PLAIN_FORMATS,
  type PlainType,
  type QuantizedType,
} from "../../formats/ggml/decode-blocks.ts";
import { bf16BytesToF32, f16BytesToF32, f32ToF16 } from "../../formats/ggml/float16.ts";
import { GGML_TYPES, type GgmlType, tensorByteLength } from "../../formats/ggml/ggml-types.ts";
import { BLOCK, type WeightLayout, type WeightStream } from "./weight-layouts.ts";

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

/** A packer of rows of `cols` weights of `type` into `layout`, which must be able to hold them. */
export function createRepacker(layout: WeightLayout, type: GgmlType, cols: number): Repack {
  if (!isQuantized(type)) return floatRepacker(layout, type, cols);
  const straight = (layout.name === "q8") === (type === "Q8_0") && layout.streams.length === 2;
  return isPlain(type) && straight
    ? plainRepacker(layout, type, cols)
    : quantizedRepacker(layout, type, cols);
}

const floats = new Float32Array(1);
const floatBits = new Uint32Array(floats.buffer);

/** Rows of floats, padded with zeros to whole blocks. */
function floatRepacker(layout: WeightLayout, type: GgmlType, cols: number): Repack {
  const rowBytes = tensorByteLength(type, [cols]);
  const outBytes = Math.ceil(cols / BLOCK) * layout.streams[0]!.words * 4;
  const same = layout.name === type.toLowerCase();
  return (bytes, row, [quants], to) => {
    const from = bytes.subarray(row * rowBytes, (row + 1) * rowBytes);
    const target = new Uint8Array(quants!.buffer, quants!.byteOffset + to * outBytes, outBytes);
    const values = same ? from : new Uint8Array(widen(type, from, cols).buffer);
    target.set(values);
    target.fill(0, values.length);
  };
}

const widen = (type: GgmlType, bytes: Uint8Array, count: number): Float32Array =>
  type === "F16" ? f16BytesToF32(bytes, count) : bf16BytesToF32(bytes, count);

function quantizedRepacker(layout: WeightLayout, type: QuantizedType, cols: number): Repack {
  const fileBlocks = cols / GGML_TYPES[type].blockSize;
  const blocks = cols / BLOCK;
  const decoded = allocateDecodedBlocks(type, fileBlocks);
  const packers = layout.streams.map(({ name, words }) => ({
    words,
    pack: PACKERS[packerName(layout, name)],
  }));
  return (bytes, row, out, to) => {
    decodeBlocks(type, bytes, row * fileBlocks, fileBlocks, decoded);
    for (const [i, { words, pack }] of packers.entries())
      pack(decoded, blocks, out[i]!, to * blocks * words, type);
  };
}

/** Like quantizedRepacker, but codes go straight from the file to their words: a third of the time. */
function plainRepacker(layout: WeightLayout, type: PlainType, cols: number): Repack {
  const blocks = cols / BLOCK;
  const { blockBytes } = GGML_TYPES[type];
  const { codesAt, scale } = PLAIN_FORMATS[type];
  const decoded = { ...allocateDecodedBlocks(type, blocks), codes: new Uint8Array() };
  const [quants, scales] = layout.streams as readonly [WeightStream, WeightStream];
  const copy = quants.words === 8 ? copyBytes : copyNibbles;
  const pack = PACKERS[packerName(layout, "scales")];
  return (bytes, row, out, to) => {
    const start = row * blocks * blockBytes;
    for (let block = 0; block < blocks; block++)
      scale(bytes, start + block * blockBytes, decoded, block);
    copy(bytes, start + codesAt, blockBytes, blocks, out[0]!, to * blocks * quants.words);
    pack(decoded, blocks, out[1]!, to * blocks * scales.words, type);
  };
}

/** A byte's low nibble is a weight of the first half of its block, the high one of the second: nibbles 0 and 4 of a word. */
const spread = (byte: number): number => (byte & 15) | ((byte & 0xf0) << 12);

/** Words of the codes of `blocks` blocks `stride` bytes apart, to `out` from `at` on. */
type Copy = (
  bytes: Uint8Array,
  from: number,
  stride: number,
  blocks: number,
  out: Uint32Array,
  at: number,
) => void;

/** Writes what PACKERS.nibbles writes. */
const copyNibbles: Copy = (bytes, from, stride, blocks, out, at) => {
  for (let block = 0; block < blocks; block++) {
    const first = from + block * stride;
    for (let b = first; b < first + 4; b++)
      out[at++] =
        spread(bytes[b]!) |
        (spread(bytes[b + 4]!) << 4) |
        (spread(bytes[b + 8]!) << 8) |
        (spread(bytes[b + 12]!) << 12);
  }
};

/** Writes what PACKERS.bytes writes. */
const copyBytes: Copy = (bytes, from, stride, blocks, out, at) => {
  for (let block = 0; block < blocks; block++)
    for (let half = from + block * stride, end = half + BLOCK; half < end; half += 16)
      at = packBytes(bytes, half, out, at);
};

/** Four words of 16 bytes, byte j of word c from byte 4j + c; where the next go. */
function packBytes(codes: Uint8Array, from: number, out: Uint32Array, at: number): number {
  for (let c = from; c < from + 4; c++)
    out[at++] = codes[c]! | (codes[c + 4]! << 8) | (codes[c + 8]! << 16) | (codes[c + 12]! << 24);
  return at;
}

type Pack = (
  decoded: DecodedBlocks,
  blocks: number,
  out: Uint32Array,
  at: number,
  type: QuantizedType,
) => void;

type PackerName = "nibbles" | "bytes" | "fifthBits" | "topBits" | "halfPairs" | "pairs" | "scales";

function packerName({ name }: WeightLayout, stream: "quants" | "high" | "scales"): PackerName {
  if (stream === "quants") return name === "q8" ? "bytes" : "nibbles";
  if (stream === "high") return name === "q6" ? "topBits" : "fifthBits";
  if (name === "q6" || name === "q8") return "scales";
  return name.endsWith("_wide") ? "pairs" : "halfPairs";
}

const PACKERS: Readonly<Record<PackerName, Pack>> = {
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
  halfPairs({ scales, mins }, blocks, out, at, type) {
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
  pairs({ scales, mins }, blocks, out, at) {
    for (let block = 0; block < blocks; block++) {
      out[at++] = bits(scales[block]!);
      out[at++] = bits(mins[block]!);
    }
  },
  // One f32 a group: q8 has a group a block, q6 two.
  scales({ scales }, blocks, out, at, type) {
    const groups = (blocks * BLOCK) / CODE_FORMATS[type].groupSize;
    for (let group = 0; group < groups; group++) out[at++] = bits(scales[group]!);
  },
};

function bits(value: number): number {
  floats[0] = value;
  return floatBits[0]!;
}
