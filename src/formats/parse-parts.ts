import { badPart } from "./bad-part.ts";
import type { ByteSource } from "./byte-source.ts";
import { type Gguf, type GgufTensor, parseGguf } from "./gguf.ts";
import type { JoinedSource } from "./gguf-split.ts";

/** The header of a GGUF in parts. Throws bad_model_file naming the part where parts do not belong together. */
export async function parseParts(
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
      if (tensors.has(name)) throw badPart(part.name, `has tensor ${name}, as an earlier part has`);
      tensors.set(name, { ...tensor, offset: tensor.offset + (joined.starts[i] as number) });
    }
  }
  if (first === undefined) throw badPart(joined.name, "has no parts");
  const total = first.metadata.get("split.tensors.count");
  if (typeof total === "number" && total !== tensors.size)
    throw badPart(joined.name, `the parts hold ${tensors.size} tensors, not ${total}`);
  return { ...first, tensors };
}

function checkKey(part: ByteSource, gguf: Gguf, key: string, wanted: number): void {
  const found = gguf.metadata.get(key);
  if (found !== wanted)
    throw badPart(part.name, `${key} is ${String(found)}, where ${wanted} is needed`);
}
