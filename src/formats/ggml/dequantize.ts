import { invalidArgument } from "../../errors.ts";
import { CODE_FORMATS } from "./code-formats.ts";
import { allocateDecodedBlocks, decodeBlocks } from "./decode-blocks.ts";
import { bf16BytesToF32, f16BytesToF32 } from "./float16.ts";
import {
  GGML_TYPES,
  type GgmlType,
  isQuantized,
  type QuantizedType,
  tensorByteLength,
} from "./ggml-types.ts";

/** Blocks decoded at a time, so that the scratch stays small however large the tensor. */
const CHUNK_BLOCKS = 256;

/**
 * The first `count` weights of `bytes` in f32, bit for bit what the `gguf` Python package gives.
 * @throws WinnowError `invalid_argument` when `count` is not a whole number of blocks or `bytes`
 *   is shorter than they are.
 */
export function dequantize(
  type: GgmlType,
  bytes: Uint8Array,
  count: number,
): Float32Array<ArrayBuffer> {
  const needed = tensorByteLength(type, [count]);
  if (!(needed >= 0)) {
    const { blockSize } = GGML_TYPES[type];
    throw invalidArgument(
      "count",
      `${count} is not a multiple of ${blockSize}, a block of ${type}`,
    );
  }
  if (bytes.length < needed)
    throw invalidArgument(
      "bytes",
      `${count} weights of ${type} take ${needed} bytes, not ${bytes.length}`,
    );
  const out = new Float32Array(count);
  if (isQuantized(type)) dequantizeBlocks(type, bytes, out);
  else if (type === "F16") f16BytesToF32(bytes, count, out);
  else if (type === "BF16") bf16BytesToF32(bytes, count, out);
  else new Uint8Array(out.buffer).set(bytes.subarray(0, needed));
  return out;
}

function dequantizeBlocks(type: QuantizedType, bytes: Uint8Array, out: Float32Array): void {
  const { blockSize } = GGML_TYPES[type];
  const { groupSize, signed, levels, zero } = CODE_FORMATS[type];
  const blocks = out.length / blockSize;
  const scratch = allocateDecodedBlocks(type, Math.min(blocks, CHUNK_BLOCKS));
  const codes = signed ? new Int8Array(scratch.codes.buffer) : scratch.codes;
  const { scales, mins } = scratch;
  for (let first = 0; first < blocks; first += CHUNK_BLOCKS) {
    const blockCount = Math.min(CHUNK_BLOCKS, blocks - first);
    decodeBlocks(type, bytes, first, blockCount, scratch);
    const base = first * blockSize;
    const groups = (blockCount * blockSize) / groupSize;
    for (let g = 0; g < groups; g++) {
      const scale = scales[g]!;
      const min = mins[g]!;
      const end = (g + 1) * groupSize;
      // Every product is exact in f32, so the store rounds once, as the reference does.
      if (levels)
        for (let i = g * groupSize; i < end; i++) out[base + i] = scale * levels[codes[i]!]!;
      else if (zero === undefined)
        for (let i = g * groupSize; i < end; i++) out[base + i] = scale * codes[i]! + min;
      else for (let i = g * groupSize; i < end; i++) out[base + i] = scale * (codes[i]! - zero);
    }
  }
}
