import { WinnowError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { type Gguf, type GgufTensor, parseGguf } from "./gguf.ts";
import { JoinedSource } from "./gguf-split.ts";

/**
 * The header of a model, whatever it is kept in: a GGUF, one in parts, or a safetensors checkpoint.
 * Tensor offsets are those of `source`.
 * @throws as `parseGguf`; bad_model_file naming the part where parts do not belong together.
 */
export async function parseModel(
  source: ByteSource,
  options: { signal?: AbortSignal; chunkBytes?: number } = {},
): Promise<Gguf> {
  if (hasHeader(source)) return source.gguf;
  if (source instanceof JoinedSource) return parseParts(source, options);
  const gguf = await parseGguf(source, options);
  const count = gguf.metadata.get("split.count");
  if (typeof count === "number" && count > 1)
    throw mismatch(source.name, `is one of ${count} parts, and the others are not here`);
  return gguf;
}

/** A checkpoint's header is made when it is opened (src/formats/safetensors-model.ts). */
const hasHeader = (source: ByteSource): source is ByteSource & { readonly gguf: Gguf } =>
  "gguf" in source;

async function parseParts(
  joined: JoinedSource,
  options: { signal?: AbortSignal; chunkBytes?: number },
): Promise<Gguf> {
  const tensors = new Map<string, GgufTensor>();
  let first: Gguf | undefined;
  for (const [i, part] of joined.parts.entries()) {
    const gguf = await parseGguf(part, options);
    first ??= gguf;
    checkKey(part, gguf, "split.no", i);
    checkKey(part, gguf, "split.count", joined.parts.length);
    for (const [name, tensor] of gguf.tensors) {
      if (tensors.has(name))
        throw mismatch(part.name, `has tensor ${name}, as an earlier part has`);
      tensors.set(name, { ...tensor, offset: tensor.offset + (joined.starts[i] as number) });
    }
  }
  if (first === undefined) throw mismatch(joined.name, "has no parts");
  const total = first.metadata.get("split.tensors.count");
  if (typeof total === "number" && total !== tensors.size)
    throw mismatch(joined.name, `the parts hold ${tensors.size} tensors, not ${total}`);
  return { ...first, tensors };
}

function checkKey(part: ByteSource, gguf: Gguf, key: string, wanted: number): void {
  const found = gguf.metadata.get(key);
  if (found !== wanted)
    throw mismatch(part.name, `${key} is ${String(found)}, where ${wanted} is needed`);
}

const mismatch = (part: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `${part}: ${problem}`, {
    hint: "All parts of one model are needed, from one place; get the part that is named again.",
    details: { field: "split", part },
  });
