import { WinnowError } from "../../errors.ts";

/** The part of a parsed GGUF that this layer reads; a Map fits. */
export interface GgufMetadata {
  get(key: string): unknown;
}

export const badMetadata = (key: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `${key}: ${problem}`, {
    hint: "The tokenizer in this file is damaged or incomplete; download the file again or take another conversion.",
    details: { field: key },
  });

/** More entries than tokens do no harm. */
export function checkLength(key: string, length: number, tokens: number): void {
  if (length < tokens)
    throw badMetadata(key, `has ${length} entries, but tokenizer.ggml.tokens has ${tokens}`);
}

/** How files write that there is no such token: -1, in i32 or u32. */
const NO_TOKEN: readonly number[] = [-1, 2 ** 32 - 1];

/** A token id; undefined where the file has none, or one outside the vocabulary, which is said in `notices`. */
export function readId(
  metadata: GgufMetadata,
  key: string,
  count: number,
  notices: string[],
): number | undefined {
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  const id = typeof value === "bigint" ? Number(value) : value;
  if (typeof id !== "number" || !Number.isInteger(id))
    throw badMetadata(key, "is not a whole number");
  if (id >= 0 && id < count) return id;
  if (!NO_TOKEN.includes(id))
    notices.push(`${key} is ${id}, but there are ${count} tokens: it was passed over`);
  return undefined;
}

export function readString(metadata: GgufMetadata, key: string): string | undefined {
  const value = metadata.get(key);
  if (value !== undefined && typeof value !== "string") throw badMetadata(key, "is not a string");
  return value;
}

export function readBoolean(metadata: GgufMetadata, key: string): boolean | undefined {
  const value = metadata.get(key);
  if (value !== undefined && typeof value !== "boolean") throw badMetadata(key, "is not a boolean");
  return value;
}

export function readStrings(metadata: GgufMetadata, key: string): readonly string[] | undefined {
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || !value.every((item): item is string => typeof item === "string"))
    throw badMetadata(key, "is not an array of strings");
  return value;
}

export function readNumbers(metadata: GgufMetadata, key: string): ArrayLike<number> | undefined {
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    if (value instanceof BigInt64Array || value instanceof BigUint64Array)
      return Array.from(value, Number);
    return value as Float32Array | Int32Array;
  }
  if (Array.isArray(value) && value.every((item): item is number => typeof item === "number"))
    return value;
  throw badMetadata(key, "is not an array of numbers");
}
