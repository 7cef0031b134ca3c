/** What the host writes for shaders to read: records laid out as the shaders declare them. */
import batch from "../../shaders/lib/batch.wgsl";
import paging from "../../shaders/lib/paging.wgsl";
import eviction from "../../shaders/pages/lib/eviction.wgsl";
import { shaderStruct } from "../gpu/shader-struct.ts";

/** One row of a step: a token at its position in a lane. */
export const ROW = shaderStruct<"token" | "position" | "lane" | "block_row">(batch, "Row");

/** The uniform that tells kernels of a step its rows. */
export const BATCH = shaderStruct<"rows" | "first" | "splits">(batch, "Batch");

/** The uniform that tells a kernel which layer it works on, and the shape of its cache. */
export const LAYER_SHAPE = shaderStruct<
  "layer" | "layers" | "kv_heads" | "max_pages" | "heads" | "chunk_pages" | "row_words" | "stride"
>(paging, "LayerShape");

/** How a lane scores and protects its pairs. */
export const LANE = shaderStruct<
  | "dot"
  | "norm"
  | "position"
  | "random"
  | "window"
  | "sinks"
  | "seed"
  | "scoring"
  | "every"
  | "phase"
  | "remembers"
  | "folds"
  | "system"
>(paging, "Lane");

/** The uniform of one eviction: a prompt block, or a whole cache. */
export const EVICTION = shaderStruct<
  "lane" | "rows" | "last" | "all" | "queries" | "first_query" | "anew"
>(eviction, "Eviction");

/** Rows of consecutive tokens of one lane, the first of them at position `start` and row 0 of its block. */
export const consecutiveRows = (tokens: readonly number[], start: number, lane: number) =>
  tokens.map((token, i) => ({ token, position: start + i, lane, block_row: i }));
