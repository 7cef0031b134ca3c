/** A small GGUF writer for tests: builds valid files in memory, and deliberately odd ones. */
import { f32ToBf16Array, f32ToF16Array } from "../../../src/formats/ggml/float16.ts";
import {
  GGML_TYPES,
  type GgmlType,
  tensorByteLength,
} from "../../../src/formats/ggml/ggml-types.ts";

const TYPE_IDS = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

export type GgufTypeName = keyof typeof TYPE_IDS;

/**
 * A value with its type spelled out, or a plain one: whole numbers become u32 (i32 when negative),
 * others f32; bigint becomes u64 (i64 when negative); typed arrays keep their type.
 */
export type MetadataInput =
  | number
  | bigint
  | string
  | boolean
  | readonly string[]
  | readonly boolean[]
  | NumericArray
  | { readonly type: GgufTypeName; readonly value: number | bigint }
  /** A value's bytes as they shall be written, behind the number of its type. */
  | { readonly typeId: number; readonly bytes: Uint8Array };

type NumericArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

export interface TensorInput {
  readonly name: string;
  readonly type: GgmlType;
  /** Written in place of the type's own number: bytes are then not checked. */
  readonly typeId?: number;
  /** ggml order: shape[0] is contiguous. */
  readonly shape: readonly number[];
  /** The tensor's bytes; or its weights in f32 where the type is F32, F16 or BF16. */
  readonly data: Uint8Array | Float32Array;
}

export interface GgufInput {
  /** Default 3. */
  readonly version?: number;
  readonly metadata: Readonly<Record<string, MetadataInput>>;
  readonly tensors: readonly TensorInput[];
}

const encoder = new TextEncoder();

class Bytes {
  #bytes = new Uint8Array(1024);
  length = 0;

  append(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.#bytes.length) {
      const grown = new Uint8Array(2 * (this.length + bytes.length));
      grown.set(this.#bytes.subarray(0, this.length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  u32(value: number): void {
    this.append(bytesOf(Uint32Array.of(value)));
  }

  u64(value: number | bigint): void {
    this.append(bytesOf(BigUint64Array.of(BigInt(value))));
  }

  string(text: string): void {
    const bytes = encoder.encode(text);
    this.u64(bytes.length);
    this.append(bytes);
  }

  pad(alignment: number): void {
    this.append(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.length);
  }
}

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);

function scalarBytes(type: GgufTypeName, value: number | bigint): Uint8Array {
  const number = Number(value);
  switch (type) {
    case "u8":
    case "bool":
      return Uint8Array.of(number);
    case "i8":
      return bytesOf(Int8Array.of(number));
    case "u16":
      return bytesOf(Uint16Array.of(number));
    case "i16":
      return bytesOf(Int16Array.of(number));
    case "u32":
      return bytesOf(Uint32Array.of(number));
    case "i32":
      return bytesOf(Int32Array.of(number));
    case "f32":
      return bytesOf(Float32Array.of(number));
    case "f64":
      return bytesOf(Float64Array.of(number));
    case "u64":
      return bytesOf(BigUint64Array.of(BigInt(value)));
    case "i64":
      return bytesOf(BigInt64Array.of(BigInt(value)));
    case "string":
      throw new Error("a string is written as a plain value");
  }
}

function arrayType(array: NumericArray): GgufTypeName {
  const kind = array.constructor.name.startsWith("Float")
    ? "f"
    : /^(Uint|BigUint)/.test(array.constructor.name)
      ? "u"
      : "i";
  return `${kind}${8 * array.BYTES_PER_ELEMENT}` as GgufTypeName;
}

function plainType(value: number | bigint): GgufTypeName {
  if (typeof value === "bigint") return value < 0n ? "i64" : "u64";
  if (!Number.isInteger(value)) return "f32";
  return value < 0 ? "i32" : "u32";
}

function writeValue(out: Bytes, value: MetadataInput): void {
  if (typeof value === "string") {
    out.u32(TYPE_IDS.string);
    out.string(value);
  } else if (typeof value === "boolean") {
    out.u32(TYPE_IDS.bool);
    out.append(Uint8Array.of(value ? 1 : 0));
  } else if (typeof value === "number" || typeof value === "bigint") {
    const type = plainType(value);
    out.u32(TYPE_IDS[type]);
    out.append(scalarBytes(type, value));
  } else if (Array.isArray(value)) {
    const items = value as readonly (string | boolean)[];
    const isBoolean = typeof items[0] === "boolean";
    out.u32(9);
    out.u32(isBoolean ? TYPE_IDS.bool : TYPE_IDS.string);
    out.u64(items.length);
    for (const item of items)
      if (typeof item === "string") out.string(item);
      else out.append(Uint8Array.of(item ? 1 : 0));
  } else if (ArrayBuffer.isView(value)) {
    out.u32(9);
    out.u32(TYPE_IDS[arrayType(value as NumericArray)]);
    out.u64((value as NumericArray).length);
    out.append(bytesOf(value));
  } else if ("typeId" in value) {
    out.u32(value.typeId);
    out.append(value.bytes);
  } else {
    const { type, value: scalar } = value as { type: GgufTypeName; value: number | bigint };
    out.u32(TYPE_IDS[type]);
    out.append(scalarBytes(type, scalar));
  }
}

function tensorBytes({ name, type, typeId, shape, data }: TensorInput): Uint8Array {
  let bytes: Uint8Array;
  if (data instanceof Uint8Array) bytes = data;
  else if (type === "F32") bytes = bytesOf(data);
  else if (type === "F16") bytes = bytesOf(f32ToF16Array(data));
  else if (type === "BF16") bytes = bytesOf(f32ToBf16Array(data));
  else throw new Error(`${name}: give the bytes of a ${type} tensor`);
  if (typeId === undefined && bytes.length !== tensorByteLength(type, shape))
    throw new Error(`${name}: ${bytes.length} bytes do not fit ${type} [${shape.join(", ")}]`);
  return bytes;
}

/** The whole file. `metadata["general.alignment"]` (default 32) is obeyed. */
export function writeGguf({ version = 3, metadata, tensors }: GgufInput): Uint8Array<ArrayBuffer> {
  const alignment = Number(metadata["general.alignment"] ?? 32);
  const data = new Bytes();
  const out = new Bytes();
  out.append(encoder.encode("GGUF"));
  out.u32(version);
  out.u64(tensors.length);
  out.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    out.string(key);
    writeValue(out, value);
  }
  for (const tensor of tensors) {
    data.pad(alignment);
    out.string(tensor.name);
    out.u32(tensor.shape.length);
    for (const dimension of tensor.shape) out.u64(dimension);
    out.u32(tensor.typeId ?? GGML_TYPES[tensor.type].id);
    out.u64(data.length);
    data.append(tensorBytes(tensor));
  }
  out.pad(alignment);
  out.append(data.finish());
  return out.finish();
}
