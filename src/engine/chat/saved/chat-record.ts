import type { CacheOptions } from "../../../cache/cache-options.ts";
import { calibrationHash } from "../../../cache/calibration-hash.ts";
import type { SequenceBooks, SequenceState } from "../../../cache/sequence/sequence-books.ts";
import { stateBytes } from "../../../cache/state-bytes.ts";
import {
  type CacheShape,
  PAGE_SLOTS,
  pagesFor,
  pageWords,
} from "../../../kernels/pages/cache-shape.ts";
import { remainderBytes } from "../../../kernels/pages/page-format.ts";
import type { ChatMessage } from "../../../text/types.ts";
import type { EngineCore } from "../../core.ts";

/** Names the format in the file's metadata. */
export const FORMAT = "winnow-chat";
/** Version of the format: one that reads a file reads no other. */
export const VERSION = "2";

/** A model, as files name it. */
export interface ModelIdentity {
  readonly name: string;
  /** Hash of all its bytes; "" where nobody knows it. */
  readonly sha256: string;
}

/** What a saved chat says of itself, beside its tensors. */
export interface ChatRecord {
  readonly model: ModelIdentity;
  /** Numbers that the cache depends on. */
  readonly shape: Readonly<Record<string, number | readonly number[]>>;
  /** How pages hold keys and values. */
  readonly storage: string;
  /** See `calibrationHash`. */
  readonly calibration: string;
  /** The counts are a tensor. */
  readonly books: SequenceState;
  /** The settings that the chat's owner named; the others are defaults. */
  readonly asked: CacheOptions;
  /** What the cache has read, for the app to go on from; undefined where it was no chat. */
  readonly messages: readonly ChatMessage[] | undefined;
}

/** The numbers of a model that its caches depend on. */
export const shapeOf = ({ config, state }: EngineCore): ChatRecord["shape"] => ({
  layers: config.layers,
  kv_heads: config.kvHeads,
  head_dim: config.headDim,
  hidden: config.hidden,
  vocabulary: config.vocabulary,
  windows: config.windows,
  page_slots: PAGE_SLOTS,
  // Files from before there were any lack it.
  ...(state.pool.shape.stateWords?.length && { states: state.pool.shape.stateWords }),
});

/** The record of a chat with these books on an engine. */
export async function recordOf(
  core: EngineCore,
  { counts: _, ...books }: SequenceBooks,
  rest: Pick<ChatRecord, "model" | "asked" | "messages">,
): Promise<ChatRecord> {
  const calibration = await calibrationHash(books.settings, core.model.calibration);
  return { ...rest, shape: shapeOf(core), storage: core.storage, calibration, books };
}

/** The record as safetensors has metadata: strings by name. */
export const metadataOf = ({ model, messages, ...rest }: ChatRecord): [string, string][] => [
  ["format", FORMAT],
  ["version", VERSION],
  ["model_name", model.name],
  ["model_sha256", model.sha256],
  ["storage", rest.storage],
  ["calibration_sha256", rest.calibration],
  ["shape", JSON.stringify(rest.shape)],
  ["sequence", JSON.stringify(rest.books)],
  ["asked", JSON.stringify(rest.asked)],
  ...(messages ? [["messages", JSON.stringify(messages)] as [string, string]] : []),
];

/** A tensor of the file: 4 bytes per value. */
export interface TensorShape {
  readonly name: string;
  readonly dtype: "U32" | "F32";
  readonly shape: readonly number[];
}

/** The tensors in front of the pages; the last three are there where there is something to tell. */
export const smallTensors = (cache: CacheShape, hidden: number, tokens: number) =>
  ({
    tokens: { name: "tokens", dtype: "U32", shape: [tokens] },
    counts: { name: "counts", dtype: "U32", shape: [cache.layers, cache.kvHeads] },
    lastRow: { name: "last_row", dtype: "F32", shape: [hidden] },
    remainders: {
      name: "remainders",
      dtype: "F32",
      shape: [cache.layers, cache.kvHeads, remainderBytes(cache) / 4],
    },
    states: { name: "states", dtype: "F32", shape: [stateBytes(cache) / 4] },
  }) as const satisfies Record<string, TensorShape>;

/** Each layer's pages in use, as they are stored, kv head by kv head. */
export const pageTensors = (cache: CacheShape, counts: SequenceBooks["counts"]): TensorShape[] =>
  counts.map((heads, layer) => ({
    name: `pages.${layer}`,
    dtype: "U32",
    shape: [heads.reduce((sum, count) => sum + pagesFor(count), 0), pageWords(cache)],
  }));

export const bytesOf = ({ shape }: TensorShape): number =>
  shape.reduce((product, size) => product * size, 4);
