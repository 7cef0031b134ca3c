import { WinnowError } from "../../errors.ts";
import type { GgufCursor } from "./gguf-cursor.ts";

/** 64-bit integers are numbers where exact, else bigint. */
type GgufScalar = number | bigint | string | boolean;

type GgufArray =
  | string[]
  | boolean[]
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | GgufArray[];

export type GgufValue = GgufScalar | GgufArray;

type Metadata = { readonly metadata: ReadonlyMap<string, GgufValue> };

const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

const exact = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};

const SCALARS: Readonly<Record<number, (cursor: GgufCursor, field: string) => GgufScalar>> = {
  0: (cursor, field) => cursor.u8(field),
  1: (cursor, field) => cursor.i8(field),
  2: (cursor, field) => cursor.u16(field),
  3: (cursor, field) => cursor.i16(field),
  4: (cursor, field) => cursor.u32(field),
  5: (cursor, field) => cursor.i32(field),
  6: (cursor, field) => cursor.f32(field),
  [BOOL]: readBoolean,
  [STRING]: (cursor, field) => cursor.string(field),
  10: (cursor, field) => exact(cursor.u64(field)),
  11: (cursor, field) => exact(cursor.i64(field)),
  12: (cursor, field) => cursor.f64(field),
};

const NUMERIC_ARRAYS = {
  0: Uint8Array,
  1: Int8Array,
  2: Uint16Array,
  3: Int16Array,
  4: Uint32Array,
  5: Int32Array,
  6: Float32Array,
  10: BigUint64Array,
  11: BigInt64Array,
  12: Float64Array,
} as const;

function readBoolean(cursor: GgufCursor, field: string): boolean {
  const at = cursor.position;
  const byte = cursor.u8(field);
  if (byte > 1) cursor.fail(field, `a boolean must be 0 or 1, not ${byte}`, at);
  return byte === 1;
}

/** Far deeper than any file nests its arrays; it bounds what a hostile one can make us recurse. */
const MAX_DEPTH = 16;

/** One value: its type, then its bytes. Synchronous on the bytes the cursor holds. */
export function readGgufValue(cursor: GgufCursor, field: string): GgufValue {
  const at = cursor.position;
  const type = cursor.u32(field);
  if (type === ARRAY) return readArray(cursor, field);
  const read = SCALARS[type];
  if (read === undefined) cursor.fail(field, `unknown value type ${type}`, at);
  return read(cursor, field);
}

function readArray(cursor: GgufCursor, field: string, depth = 1): GgufArray {
  const at = cursor.position;
  const type = cursor.u32(field);
  const length = cursor.count(field);
  if (type === ARRAY) {
    if (depth === MAX_DEPTH) cursor.fail(field, `arrays are nested deeper than ${MAX_DEPTH}`, at);
    cursor.requireRoom(length, 12, field, at + 4);
    const arrays: GgufArray[] = [];
    for (let i = 0; i < length; i++) arrays.push(readArray(cursor, field, depth + 1));
    return arrays;
  }
  if (type === STRING) {
    cursor.requireRoom(length, 8, field, at + 4);
    const strings: string[] = [];
    for (let i = 0; i < length; i++) strings.push(cursor.string(field));
    return strings;
  }
  if (type === BOOL) {
    cursor.requireRoom(length, 1, field, at + 4);
    const booleans: boolean[] = [];
    for (let i = 0; i < length; i++) booleans.push(readBoolean(cursor, field));
    return booleans;
  }
  if (!(type in NUMERIC_ARRAYS)) cursor.fail(field, `unknown array element type ${type}`, at);
  const Values = NUMERIC_ARRAYS[type as keyof typeof NUMERIC_ARRAYS];
  cursor.requireRoom(length, Values.BYTES_PER_ELEMENT, field, at + 4);
  // Typed arrays use the host's byte order; every platform with WebGPU is little-endian.
  return new Values(cursor.bytes(length * Values.BYTES_PER_ELEMENT, field).buffer);
}

const kind = (value: GgufValue): string =>
  typeof value === "object"
    ? Array.isArray(value)
      ? "array"
      : value.constructor.name
    : typeof value;

function wrong(key: string, problem: string): never {
  throw new WinnowError("bad_model_file", `metadata ${key}: ${problem}`, {
    hint: "The file lacks metadata that Winnow needs; use another conversion of the model.",
    details: { field: key },
  });
}

/** Finds `key`; `fallback` stands in for a missing key only, never for one of the wrong type. */
function get<T>(
  gguf: Metadata,
  key: string,
  expected: string,
  fallback: T | undefined,
  convert: (value: GgufValue) => T | undefined,
): T {
  const value = gguf.metadata.get(key);
  if (value === undefined) return fallback ?? wrong(key, `is missing; a ${expected} is needed`);
  return convert(value) ?? wrong(key, `must be a ${expected}, not ${kind(value)}`);
}

/** A finite number. Throws `bad_model_file` naming the key when it is missing or something else. */
export const getNumber = (gguf: Metadata, key: string, fallback?: number): number =>
  get(gguf, key, "number", fallback, (value) =>
    typeof value === "number" && Number.isFinite(value) ? value : undefined,
  );

/** Throws `bad_model_file` naming the key when it is missing or not a string. */
export const getString = (gguf: Metadata, key: string, fallback?: string): string =>
  get(gguf, key, "string", fallback, (value) => (typeof value === "string" ? value : undefined));

/** Throws `bad_model_file` naming the key when it is missing or not a boolean. */
export const getBoolean = (gguf: Metadata, key: string, fallback?: boolean): boolean =>
  get(gguf, key, "boolean", fallback, (value) => (typeof value === "boolean" ? value : undefined));

/** Throws `bad_model_file` naming the key when it is missing or not an array of strings. */
export const getStringArray = (
  gguf: Metadata,
  key: string,
  fallback?: readonly string[],
): readonly string[] =>
  get(gguf, key, "string array", fallback, (value) =>
    Array.isArray(value) && (value as unknown[]).every((item) => typeof item === "string")
      ? (value as string[])
      : undefined,
  );

/** Throws `bad_model_file` naming the key when it is missing or not an array of booleans. */
export const getBooleanArray = (
  gguf: Metadata,
  key: string,
  fallback?: readonly boolean[],
): readonly boolean[] =>
  get(gguf, key, "boolean array", fallback, (value) =>
    Array.isArray(value) && (value as unknown[]).every((item) => typeof item === "boolean")
      ? (value as boolean[])
      : undefined,
  );

/** Any numeric array; 64-bit integers become numbers. Throws `bad_model_file` naming the key. */
export const getNumberArray = (
  gguf: Metadata,
  key: string,
  fallback?: ArrayLike<number>,
): ArrayLike<number> =>
  get(gguf, key, "numeric array", fallback, (value) => {
    if (typeof value !== "object" || Array.isArray(value))
      return Array.isArray(value) && value.length === 0 ? [] : undefined;
    if (value instanceof BigUint64Array || value instanceof BigInt64Array)
      return Array.from(value as BigInt64Array, Number);
    return value;
  });
