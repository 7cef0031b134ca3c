/**
 * A GGUF cut into parts `NAME-00001-of-0000N.gguf` (llama.cpp's gguf-split): each part is a GGUF of
 * its own with `split.no`, `split.count` and `split.tensors.count`; the first carries the metadata.
 */
import { badPart } from "../bad-part.ts";
import { checkRange } from "../blob-source.ts";
import type { ByteSource } from "../byte-source.ts";
import { partNames, partOf } from "../part-names.ts";

/**
 * Orders files by their part numbers.
 * @throws bad_model_file naming the part that is missing, double or of another model.
 */
export function orderParts<T extends { readonly name: string }>(files: readonly T[]): T[] {
  const [first] = files;
  if (first === undefined) throw badPart("model", "no file was given");
  const names = partNames(first.name);
  if (partOf(first.name) === undefined) {
    if (files.length === 1) return [first];
    throw badPart(first.name, "is not a part, but came with other files");
  }
  for (const [i, { name }] of files.entries()) {
    if (!names.includes(name))
      throw badPart(name, `is not a part of the same model as ${first.name}`);
    if (files.findIndex((file) => file.name === name) !== i) throw badPart(name, "is there twice");
  }
  return names.map((name) => {
    const found = files.find((file) => file.name === name);
    if (found === undefined)
      throw badPart(name, `the part is missing (${files.length} of ${names.length} are here)`);
    return found;
  });
}

/** Several sources one behind the other, read as one. `starts[i]` is where part i begins. */
export class JoinedSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly parts: readonly ByteSource[];
  readonly starts: readonly number[];

  constructor(parts: readonly ByteSource[], name = parts[0]?.name ?? "parts") {
    let end = 0;
    this.starts = parts.map(({ size }) => {
      end += size;
      return end - size;
    });
    this.parts = parts;
    this.size = end;
    this.name = name;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const pieces: Uint8Array[] = [];
    for (const [i, part] of this.parts.entries()) {
      const start = this.starts[i] as number;
      const from = Math.max(offset, start);
      const to = Math.min(offset + length, start + part.size);
      if (from < to) pieces.push(await part.read(from - start, to - from, signal));
    }
    if (pieces.length === 1) return pieces[0] as Uint8Array;
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }
}
