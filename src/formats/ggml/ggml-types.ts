/**
 * The ggml tensor types Winnow reads. A tensor is a run of blocks; a block holds `blockSize`
 * weights in `blockBytes` bytes and never crosses a row (shape[0] is a multiple of `blockSize`).
 * Ids and sizes: ggml.h (`enum ggml_type`) and ggml-common.h (`block_*`).
 */
export type GgmlType =
  | "F32"
  | "F16"
  | "BF16"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q8_0"
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"
  | "IQ4_NL"
  | "IQ4_XS"
  | "MXFP4";

/** Types whose weights are codes with scales. */
export type QuantizedType = Exclude<GgmlType, "F32" | "F16" | "BF16">;

export const isQuantized = (type: GgmlType): type is QuantizedType =>
  type !== "F32" && type !== "F16" && type !== "BF16";

export interface GgmlTypeInfo {
  readonly name: GgmlType;
  /** The number that stands for the type in a GGUF file. */
  readonly id: number;
  /** Weights per block. */
  readonly blockSize: number;
  /** Bytes per block. */
  readonly blockBytes: number;
}

const info = (name: GgmlType, id: number, blockSize: number, blockBytes: number): GgmlTypeInfo => ({
  name,
  id,
  blockSize,
  blockBytes,
});

export const GGML_TYPES: Readonly<Record<GgmlType, GgmlTypeInfo>> = {
  F32: info("F32", 0, 1, 4),
  F16: info("F16", 1, 1, 2),
  Q4_0: info("Q4_0", 2, 32, 18),
  Q4_1: info("Q4_1", 3, 32, 20),
  Q5_0: info("Q5_0", 6, 32, 22),
  Q5_1: info("Q5_1", 7, 32, 24),
  Q8_0: info("Q8_0", 8, 32, 34),
  Q2_K: info("Q2_K", 10, 256, 84),
  Q3_K: info("Q3_K", 11, 256, 110),
  Q4_K: info("Q4_K", 12, 256, 144),
  Q5_K: info("Q5_K", 13, 256, 176),
  Q6_K: info("Q6_K", 14, 256, 210),
  IQ4_NL: info("IQ4_NL", 20, 32, 18),
  IQ4_XS: info("IQ4_XS", 23, 256, 136),
  BF16: info("BF16", 30, 1, 2),
  MXFP4: info("MXFP4", 39, 32, 17),
};

const BY_ID: ReadonlyMap<number, GgmlTypeInfo> = new Map(
  Object.values(GGML_TYPES).map((type) => [type.id, type]),
);

/** Names of types that exist but are not read, for error messages. */
const OTHER_NAMES: Readonly<Record<number, string>> = {
  9: "Q8_1",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  21: "IQ3_S",
  22: "IQ2_S",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  34: "TQ1_0",
  35: "TQ2_0",
};

export const ggmlTypeById = (id: number): GgmlTypeInfo | undefined => BY_ID.get(id);

/** "Q4_K", or "type 99" for an id nobody knows. */
export const ggmlTypeName = (id: number): string =>
  BY_ID.get(id)?.name ?? OTHER_NAMES[id] ?? `type ${id}`;

/**
 * Bytes of a tensor of `type`; `shape` in ggml order (shape[0] contiguous). NaN where a row is not
 * a whole number of blocks or the size is past Number.MAX_SAFE_INTEGER.
 */
export function tensorByteLength(type: GgmlType, shape: readonly number[]): number {
  const { blockSize, blockBytes } = GGML_TYPES[type];
  const row = shape[0] ?? 1;
  if (row % blockSize !== 0) return Number.NaN;
  let bytes = (row / blockSize) * blockBytes;
  for (const dimension of shape.slice(1)) {
    bytes *= dimension;
    if (!Number.isSafeInteger(bytes)) return Number.NaN;
  }
  return Number.isSafeInteger(bytes) ? bytes : Number.NaN;
}
