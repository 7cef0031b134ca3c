/**
 * GGUF, versions 2 and 3, little-endian: the container of llama.cpp's models.
 * Source of the layout: github.com/ggml-org/ggml, docs/gguf.md.
 */
import { WinnowError } from "../../errors.ts";
import type { ByteSource } from "../byte-source.ts";
import {
  GGML_TYPES,
  type GgmlType,
  type GgmlTypeInfo,
  ggmlTypeById,
  ggmlTypeName,
  tensorByteLength,
} from "../ggml/ggml-types.ts";
import { GgufCursor } from "./gguf-cursor.ts";
import { type GgufValue, readGgufValue } from "./gguf-metadata.ts";

export {
  getBoolean,
  getBooleanArray,
  getNumber,
  getNumberArray,
  getString,
  getStringArray,
} from "./gguf-metadata.ts";

export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** ggml order: shape[0] is the contiguous dimension. */
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface Gguf {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the file's order. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Tensors of types that Winnow does not read, by name: the name of each one's type. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** What was passed over or read in another way than it is written, one sentence each. */
  readonly notices: readonly string[];
  readonly alignment: number;
  /** Where the tensor data begins, in bytes from the start of the file. */
  readonly dataOffset: number;
}

/**
 * The tensor of that name, or undefined where the file has none.
 * @throws unsupported_model, naming tensor and type, where its type is one that Winnow does not read.
 */
export function tensorNamed(gguf: Gguf, name: string): GgufTensor | undefined {
  const type = gguf.unreadable.get(name);
  if (type === undefined) return gguf.tensors.get(name);
  throw new WinnowError(
    "unsupported_model",
    `tensor ${name} has type ${type}, which is not supported`,
    {
      hint: `Use a file whose tensors are ${Object.keys(GGML_TYPES).join(", ")}.`,
      details: { field: name, tensor: name, type },
    },
  );
}

const MAGIC = 0x46554747; // "GGUF"
const FIRST_CHUNK = 1024 * 1024;
/** Far above any real model (the largest have some 2,000 tensors and 100 keys). */
const MAX_TENSORS = 65_536;
const MAX_KEYS = 65_536;
const MAX_KEY_BYTES = 65_535;
const MAX_NAME_BYTES = 1024;
const MAX_ALIGNMENT = 1024 * 1024;
const DEFAULT_ALIGNMENT = 32;

interface TensorRecord {
  readonly name: string;
  readonly typeId: number;
  readonly shape: number[];
  /** Relative to the data section. */
  readonly relativeOffset: number;
  /** Where the record and its offset field stand in the header, for messages. */
  readonly at: number;
  readonly offsetAt: number;
}

/**
 * Reads the header of a GGUF file in growing chunks, so that it can run while the file downloads.
 * Tensor data is not read, but every tensor is checked to lie inside the file, aligned and apart
 * from the others.
 * @throws WinnowError `bad_model_file` with details { field, offset } for anything damaged or
 *   hostile; `aborted`; whatever the source throws.
 */
export async function parseGguf(
  source: ByteSource,
  options: { signal?: AbortSignal; chunkBytes?: number } = {},
): Promise<Gguf> {
  const cursor = new GgufCursor(source, options.chunkBytes ?? FIRST_CHUNK, options.signal);
  const { version, tensorCount, keyCount } = await cursor.step(() => readPreamble(cursor));

  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const at = cursor.position;
    const [key, value] = await cursor.step(() => readKeyValue(cursor, i));
    if (metadata.has(key)) cursor.fail(key, "duplicate metadata key", at);
    metadata.set(key, value);
  }
  const alignment = checkAlignment(cursor, metadata);

  const records = new Map<string, TensorRecord>();
  for (let i = 0; i < tensorCount; i++) {
    const record = await cursor.step(() => readTensorRecord(cursor, i));
    if (records.has(record.name)) cursor.fail(record.name, "duplicate tensor name", record.at);
    records.set(record.name, record);
  }

  const dataOffset = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  const unreadable = new Map<string, string>();
  for (const record of records.values()) {
    const type = ggmlTypeById(record.typeId);
    if (type === undefined) unreadable.set(record.name, ggmlTypeName(record.typeId));
    else tensors.set(record.name, placeTensor(cursor, source, record, type, alignment, dataOffset));
  }
  checkOverlap(cursor, [...tensors.values()], records);
  const notices = [...cursor.notices, ...passedOver(unreadable)];
  return { version, metadata, tensors, unreadable, notices, alignment, dataOffset };
}

/** A model that needs one of them is refused by its name (src/model/tensors.ts); others load without. */
export function passedOver(unreadable: ReadonlyMap<string, string>): string[] {
  if (unreadable.size === 0) return [];
  const named = [...unreadable].slice(0, 3).map(([name, type]) => `${name} (${type})`);
  const more = unreadable.size > named.length ? ` and ${unreadable.size - named.length} more` : "";
  return [
    `tensors of types that Winnow does not read were passed over: ${named.join(", ")}${more}`,
  ];
}

function readPreamble(cursor: GgufCursor) {
  const magic = cursor.u32("magic");
  if (magic !== MAGIC) {
    const found = `0x${magic.toString(16).padStart(8, "0")}`;
    cursor.fail("magic", `not a GGUF file (expected "GGUF", found ${found})`, 0);
  }
  const version = cursor.u32("version");
  if (version !== 2 && version !== 3) {
    const swapped = version % 0x10000 === 0 && version !== 0;
    const problem = swapped
      ? "the file is big-endian; only little-endian GGUF is supported"
      : `GGUF version ${version} is not supported (2 and 3 are)`;
    cursor.fail("version", problem, 4);
  }
  const tensorCount = cursor.count("tensor_count", MAX_TENSORS);
  const keyCount = cursor.count("metadata_kv_count", MAX_KEYS);
  // The least a key takes is 8 + 1 + 4 + 1 bytes, a tensor 8 + 1 + 4 + 8 + 4 + 8.
  cursor.requireRoom(keyCount, 14, "metadata_kv_count", 16);
  cursor.requireRoom(tensorCount, 33, "tensor_count", 8);
  return { version, tensorCount, keyCount };
}

function readKeyValue(cursor: GgufCursor, index: number): [string, GgufValue] {
  const at = cursor.position;
  const key = cursor.string(`metadata key ${index}`, MAX_KEY_BYTES);
  if (key === "") cursor.fail(`metadata key ${index}`, "is empty", at);
  return [key, readGgufValue(cursor, key)];
}

function checkAlignment(cursor: GgufCursor, metadata: Map<string, GgufValue>): number {
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (
    typeof alignment !== "number" ||
    !Number.isInteger(Math.log2(alignment)) ||
    alignment < 1 ||
    alignment > MAX_ALIGNMENT
  )
    cursor.fail(
      "general.alignment",
      `must be a power of two up to ${MAX_ALIGNMENT}, not ${alignment}`,
    );
  return alignment;
}

function readTensorRecord(cursor: GgufCursor, index: number): TensorRecord {
  const at = cursor.position;
  const name = cursor.string(`tensor name ${index}`, MAX_NAME_BYTES);
  if (name === "") cursor.fail(`tensor name ${index}`, "is empty", at);
  const rankAt = cursor.position;
  const rank = cursor.u32(`${name} n_dims`);
  if (rank < 1 || rank > 4) cursor.fail(`${name} n_dims`, `must be 1 to 4, not ${rank}`, rankAt);
  const shape: number[] = [];
  for (let i = 0; i < rank; i++) {
    const dimensionAt = cursor.position;
    const dimension = cursor.count(`${name} dimension ${i}`);
    if (dimension === 0) cursor.fail(`${name} dimension ${i}`, "is zero", dimensionAt);
    shape.push(dimension);
  }
  const typeId = cursor.u32(`${name} type`);
  const offsetAt = cursor.position;
  return { name, typeId, shape, relativeOffset: cursor.count(`${name} offset`), at, offsetAt };
}

function placeTensor(
  cursor: GgufCursor,
  source: ByteSource,
  record: TensorRecord,
  type: GgmlTypeInfo,
  alignment: number,
  dataOffset: number,
): GgufTensor {
  const { name, shape, relativeOffset, at, offsetAt } = record;
  if (shape[0]! % type.blockSize !== 0)
    cursor.fail(
      `${name} dimension 0`,
      `${shape[0]} is not a multiple of the ${type.blockSize} weights in a block of ${type.name}`,
      at,
    );
  const byteLength = tensorByteLength(type.name, shape);
  const offset = dataOffset + relativeOffset;
  const end = offset + byteLength;
  if (!Number.isSafeInteger(end)) cursor.fail(`${name} size`, "is absurdly large", at);
  if (relativeOffset % alignment !== 0)
    cursor.fail(`${name} offset`, `${relativeOffset} is not a multiple of ${alignment}`, offsetAt);
  if (end > source.size)
    cursor.fail(
      `${name} offset`,
      `the tensor ends at byte ${end}, but the file has ${source.size}`,
      offsetAt,
    );
  return { name, type: type.name, shape, offset, byteLength };
}

function checkOverlap(
  cursor: GgufCursor,
  tensors: GgufTensor[],
  records: ReadonlyMap<string, TensorRecord>,
): void {
  tensors.sort((a, b) => a.offset - b.offset);
  for (const [i, tensor] of tensors.entries()) {
    const previous = tensors[i - 1];
    if (previous !== undefined && previous.offset + previous.byteLength > tensor.offset)
      cursor.fail(
        `${tensor.name} offset`,
        `the tensor overlaps ${previous.name}`,
        records.get(tensor.name)?.offsetAt,
      );
  }
}
