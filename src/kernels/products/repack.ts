/** Rows of a GGUF tensor -> words of a GPU layout (see weight-layouts.ts). Pure: no GPU. */
import { loadLater } from "../../errors.ts";
import { bf16BytesToF32, f16BytesToF32 } from "../../formats/ggml/float16.ts";
import {
  GGML_TYPES,
  type GgmlType,
  isQuantized,
  tensorByteLength,
} from "../../formats/ggml/ggml-types.ts";
import { isPlain, PLAIN_FORMATS, type PlainType } from "../../formats/ggml/plain-formats.ts";
import { packBytes, type Repack, SCALE_PACKERS } from "./packing.ts";
import { BLOCK, type ScalePart, type WeightLayout, type WeightStream } from "./weight-layouts.ts";

/** A packer of rows of `cols` weights of `type` into `layout`, which must be able to hold them. */
export async function createRepacker(
  layout: WeightLayout,
  type: GgmlType,
  cols: number,
): Promise<Repack> {
  if (!isQuantized(type)) return floatRepacker(layout, type, cols);
  const straight = (layout.name === "q8") === (type === "Q8_0") && layout.streams.length === 2;
  if (isPlain(type) && straight) return plainRepacker(layout, type, cols);
  const { decodedRepacker } = await loadLater(
    "this model's weights",
    () => import("./repack-decoded.ts"),
  );
  return decodedRepacker(layout, type, cols);
}

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

/** Codes go straight from the file to their words: a third of the time that taking them apart takes. */
function plainRepacker(layout: WeightLayout, type: PlainType, cols: number): Repack {
  const blocks = cols / BLOCK;
  const { blockBytes } = GGML_TYPES[type];
  const { codesAt, scale } = PLAIN_FORMATS[type];
  const decoded = { scales: new Float32Array(blocks), mins: new Float32Array(blocks) };
  const [quants, scales] = layout.streams as readonly [WeightStream, WeightStream];
  const copy = quants.words === 8 ? copyBytes : copyNibbles;
  const pack = SCALE_PACKERS[scales.holds as ScalePart];
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
