import { invalidArgument } from "../../errors.ts";
import { f32ToBf16Array, f32ToF16Array } from "../ggml/float16.ts";
import { BYTES, type SafetensorsTensor } from "./safetensors.ts";

function encode({ dtype, values }: SafetensorsTensor): Uint8Array {
  if (dtype === "F16") return new Uint8Array(f32ToF16Array(values).buffer);
  if (dtype === "BF16") return new Uint8Array(f32ToBf16Array(values).buffer);
  return new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
}

type Named<T> = ReadonlyMap<string, T> | Readonly<Record<string, T>>;

const entriesOf = <T>(from: Named<T>): [string, T][] =>
  from instanceof Map ? [...from.entries()] : Object.entries(from);

/**
 * The file as bytes; the inverse of `readSafetensors` (values rounded to each tensor's dtype).
 * @throws WinnowError `invalid_argument` when a shape and its values disagree.
 */
export function writeSafetensors(file: {
  metadata?: Named<string>;
  tensors: Named<SafetensorsTensor>;
}): Uint8Array<ArrayBuffer> {
  const metadata = entriesOf(file.metadata ?? {});
  // Wide types first, as the reference writer does, so that every tensor is aligned.
  const tensors = entriesOf(file.tensors).sort(
    ([nameA, a], [nameB, b]) => BYTES[b.dtype] - BYTES[a.dtype] || (nameA < nameB ? -1 : 1),
  );
  const header: [string, unknown][] = [];
  if (metadata.length > 0) header.push(["__metadata__", Object.fromEntries(metadata)]);
  const chunks: Uint8Array[] = [];
  let end = 0;
  for (const [name, tensor] of tensors) {
    const count = tensor.shape.reduce((product, dimension) => product * dimension, 1);
    if (count !== tensor.values.length)
      throw invalidArgument(
        name,
        `shape [${tensor.shape}] does not hold ${tensor.values.length} values`,
      );
    const chunk = encode(tensor);
    const begin = end;
    end += chunk.length;
    chunks.push(chunk);
    header.push([name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] }]);
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerLength = Math.ceil(json.length / 8) * 8;
  const out = new Uint8Array(8 + headerLength + end).fill(0x20, 8, 8 + headerLength);
  new DataView(out.buffer).setBigUint64(0, BigInt(headerLength), true);
  out.set(json, 8);
  let at = 8 + headerLength;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}
