/**
 * Each way to hold keys and values, with the bytes of a value and of a slot's scales: what
 * shaders/lib/pages_STORAGE.wgsl store.
 */
const BYTES = {
  f16: { value: 2, scales: 0 },
  q8: { value: 1, scales: 4 },
  f32: { value: 4, scales: 0 },
} satisfies Record<string, { value: number; scales: number }>;

/**
 * How the cache holds keys and values: 2 bytes per value, 1 byte per value and a scale per vector, or 4 bytes per value.
 * @useDeclaredType
 */
export type KvStorage = keyof typeof BYTES;

export const KV_STORAGES = Object.keys(BYTES) as readonly KvStorage[];

/** P: slots per page. */
export const PAGE_SLOTS = 32;

/** The format for which a shader that touches pages is specialised. */
export interface PageFormat {
  /** D, a multiple of 8. */
  readonly headDim: number;
  /** P. Default PAGE_SLOTS. */
  readonly pageSlots?: number;
  /** Default f16. */
  readonly storage?: KvStorage;
}

/** Bytes of a slot: key, value, their scales, position and score. */
export function slotBytes({ headDim, storage = "f16" }: PageFormat): number {
  const { value, scales } = BYTES[storage];
  return 2 * headDim * value + scales + 8;
}

/** Where the parts of a page lie, in u32 words: keys and values come first, `vectorWords` per slot each. */
export function pageParts(format: PageFormat): {
  vectorWords: number;
  /** First word of the slots' scales; undefined where there are none. */
  scales: number | undefined;
  positions: number;
  scores: number;
} {
  const { headDim, pageSlots = PAGE_SLOTS, storage = "f16" } = format;
  const vectorWords = (headDim * BYTES[storage].value) / 4;
  const scores = pageWords(format) - pageSlots;
  return {
    vectorWords,
    scales: BYTES[storage].scales > 0 ? 2 * vectorWords * pageSlots : undefined,
    positions: scores - pageSlots,
    scores,
  };
}

/** Bytes of what a kv head has dropped, f32: how many pairs, their keys' and their values' sums, and a word of the kernels. */
export const remainderBytes = ({ headDim }: Pick<PageFormat, "headDim">): number =>
  (2 + 2 * headDim) * 4;

/** u32 words of a page. */
export const pageWords = (format: PageFormat): number =>
  ((format.pageSlots ?? PAGE_SLOTS) * slotBytes(format)) / 4;

/** Pages that hold `slots` slots. */
export const pagesFor = (slots: number): number => Math.ceil(slots / PAGE_SLOTS);

/**
 * Format of the prompt's chunk scratch. Its keys and values are attended to before they are stored, and
 * memory for one layer's chunk is cheap, so it is never coarser than f16.
 */
export const chunkFormat = <T extends PageFormat>(format: T): T & { storage: KvStorage } => ({
  ...format,
  storage: format.storage === "f32" ? "f32" : "f16",
});

/** Bytes of the scratch of a prompt block of `rows` rows. */
export const scratchBytes = (format: PageFormat, kvHeads: number, rows: number): number =>
  kvHeads * pagesFor(rows) * pageWords(chunkFormat(format)) * 4;
