/**
 * Safetensors files small enough to hold in memory, such as calibrated filters.
 * Layout: u64 header length, JSON header, data (huggingface.co/docs/safetensors).
 */
import { WinnowError } from "../../errors.ts";
import { bf16BytesToF32, f16BytesToF32 } from "../ggml/float16.ts";

type SafetensorsDtype = "F32" | "F16" | "BF16";

export interface SafetensorsTensor {
  readonly dtype: SafetensorsDtype;
  /** Row-major: the last dimension is contiguous. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface Safetensors {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
}

export interface ReadSafetensorsOptions {
  /** For messages. */
  readonly name?: string;
  /** What a damaged file is: default "bad_filters". */
  readonly errorCode?: "bad_filters" | "bad_model_file";
}

/** Bytes of a value. */
export const BYTES = { F32: 4, F16: 2, BF16: 2 } as const;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

/** @throws WinnowError `options.errorCode` with details { field, offset }. */
export function readSafetensors(
  bytes: Uint8Array,
  options: ReadSafetensorsOptions = {},
): Safetensors {
  const { name = "safetensors file", errorCode = "bad_filters" } = options;
  const fail = (field: string, offset: number, problem: string): never => {
    throw new WinnowError(errorCode, `${name}: ${field} at byte ${offset}: ${problem}`, {
      hint: "The file is damaged or not a safetensors file; get or make it again.",
      details: { field, offset },
    });
  };

  const dataStart = 8 + headerLength(bytes.subarray(0, 8), bytes.length, fail);
  const header = bytes.subarray(8, dataStart);
  const { metadata, entries } = parseHeader(header, bytes.length - dataStart, BYTES, fail);
  const tensors = new Map<string, SafetensorsTensor>();
  for (const { key, dtype, shape, begin, end } of entries) {
    const data = bytes.subarray(dataStart + begin, dataStart + end);
    tensors.set(key, { dtype, shape, values: decode(dtype, data) });
  }
  return { metadata, tensors };
}

/** A tensor as the header describes it. */
export interface SafetensorsEntry<Dtype extends string> {
  readonly key: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Data bytes [begin, end), from the start of the data section. */
  readonly begin: number;
  readonly end: number;
}

/** Throws what is wrong with a field, at a byte of the file. */
export type Fail = (field: string, offset: number, problem: string) => never;

/** Bytes of the header, from a file's first 8 bytes; `size`: the whole file's. */
export function headerLength(start: Uint8Array, size: number, fail: Fail): number {
  if (start.length < 8) return fail("header length", 0, `the file has only ${size} bytes`);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(size - 8))
    return fail("header length", 0, `${length} bytes, but the file has ${size}`);
  return Number(length);
}

/**
 * Metadata and tensors of a header, in the order of their data, which must be `dataBytes` long. `sizes`: bytes of a value
 * of each type that is taken.
 */
export function parseHeader<Dtype extends string>(
  bytes: Uint8Array,
  dataBytes: number,
  sizes: Readonly<Record<Dtype, number>>,
  fail: Fail,
): { metadata: Map<string, string>; entries: SafetensorsEntry<Dtype>[] } {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    return fail("header", 8, `is not JSON (${(error as Error).message})`);
  }
  if (!isObject(header)) return fail("header", 8, "is not a JSON object");
  const metadata = new Map<string, string>();
  const entries: SafetensorsEntry<Dtype>[] = [];
  for (const [key, value] of Object.entries(header)) {
    if (!isObject(value)) return fail(key, 8, "is not an object");
    if (key !== "__metadata__") entries.push(readEntry(key, value, sizes, fail));
    else
      for (const [k, v] of Object.entries(value))
        metadata.set(
          k,
          typeof v === "string" ? v : fail(`__metadata__.${k}`, 8, "is not a string"),
        );
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkSpans(entries, 8 + bytes.length, dataBytes, fail);
  return { metadata, entries };
}

function readEntry<Dtype extends string>(
  key: string,
  entry: Record<string, unknown>,
  sizes: Readonly<Record<Dtype, number>>,
  fail: Fail,
): SafetensorsEntry<Dtype> {
  const { dtype, shape, data_offsets: offsets } = entry;
  const isTaken = (type: unknown): type is Dtype =>
    typeof type === "string" && Object.hasOwn(sizes, type);
  if (!isTaken(dtype))
    return fail(
      `${key}.dtype`,
      8,
      `${typeof dtype === "string" ? dtype : `a value of type ${typeof dtype}`} is not ${inWords(Object.keys(sizes))}`,
    );
  if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isSize))
    return fail(`${key}.shape`, 8, "is not a list of sizes");
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    return fail(`${key}.data_offsets`, 8, "is not a pair of offsets");
  const [begin, end] = offsets as [number, number];
  const size = shape.reduce(
    (product: number, dimension: number) => product * dimension,
    sizes[dtype],
  );
  if (end - begin !== size)
    return fail(
      `${key}.data_offsets`,
      8,
      `span ${end - begin} bytes where the shape needs ${size}`,
    );
  return { key, dtype, shape: shape as number[], begin, end };
}

const inWords = (names: readonly string[]): string =>
  `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;

/** The format allows neither overlaps nor holes. Checked before anything is decoded. */
function checkSpans(
  entries: readonly SafetensorsEntry<string>[],
  dataStart: number,
  dataBytes: number,
  fail: Fail,
): void {
  let expected = 0;
  for (const { key, begin, end } of entries) {
    if (begin !== expected) fail(key, dataStart + begin, `should begin at data byte ${expected}`);
    if (end > dataBytes)
      fail(key, dataStart + begin, `ends after the file's ${dataStart + dataBytes} bytes`);
    expected = end;
  }
  if (expected !== dataBytes) fail("data", dataStart + expected, "bytes that belong to no tensor");
}

function decode(dtype: SafetensorsDtype, data: Uint8Array): Float32Array {
  const count = data.length / BYTES[dtype];
  if (dtype === "F16") return f16BytesToF32(data, count);
  if (dtype === "BF16") return bf16BytesToF32(data, count);
  // A copy, for alignment; not data.slice(), which of a Node Buffer is a view.
  return new Float32Array(new Uint8Array(data).buffer);
}
