import { badPart } from "./bad-part.ts";
import type { ByteSource } from "./byte-source.ts";
import { type Gguf, type GgufTensor, parseGguf } from "./gguf/gguf.ts";
import type { JoinedSource } from "./gguf/gguf-split.ts";

/** The header of a GGUF in parts. Throws bad_model_file naming the part where parts do not belong together. */
export async function parseParts(
  joined: JoinedSource,
  options: { signal?: AbortSignal; chunkBytes?: number },
): Promise<Gguf> {
  const tensors = new Map<string, GgufTensor>();
  const unreadable = new Map<string, string>();
  const notices = new Set<string>();
  let first: Gguf | undefined;
  for (const [i, part] of joined.parts.entries()) {
    const gguf = await parseGguf(part, options);
    first ??= gguf;
    checkKey(part, gguf, "split.no", i);
    checkKey(part, gguf, "split.count", joined.parts.length);
    for (const notice of gguf.notices) notices.add(notice);
    const known = (name: string) => tensors.has(name) || unreadable.has(name);
    for (const name of [...gguf.tensors.keys(), ...gguf.unreadable.keys()])
      if (known(name)) throw badPart(part.name, `has tensor ${name}, as an earlier part has`);
    for (const [name, type] of gguf.unreadable) unreadable.set(name, type);
    for (const [name, tensor] of gguf.tensors)
      tensors.set(name, { ...tensor, offset: tensor.offset + (joined.starts[i] as number) });
  }
  if (first === undefined) throw badPart(joined.name, "has no parts");
  const total = first.metadata.get("split.tensors.count");
  const found = tensors.size + unreadable.size;
  if (typeof total === "number" && total !== found)
    throw badPart(joined.name, `the parts hold ${found} tensors, not ${total}`);
  return { ...first, tensors, unreadable, notices: [...notices] };
}

function checkKey(part: ByteSource, gguf: Gguf, key: string, wanted: number): void {
  const found = gguf.metadata.get(key);
  if (found !== wanted)
    throw badPart(part.name, `${key} is ${String(found)}, where ${wanted} is needed`);
}
