import { LAYER_SHAPE } from "../records.ts";
import { foldStride } from "./fold.ts";
import { type KvStorage, remainderBytes } from "./page-format.ts";

export { PAGE_SLOTS, pagesFor, pageWords } from "./page-format.ts";

/** The shape for which the cache kernels are specialised. */
export interface CacheShape {
  /** L: the layers that hold keys and values. */
  readonly layers: number;
  /** H */
  readonly heads: number;
  /** G */
  readonly kvHeads: number;
  /** D, a multiple of 8. */
  readonly headDim: number;
  /** [L]: the last tokens that a layer with a sliding window sees; 0 for a global layer. Default: all global. */
  readonly windows?: readonly number[];
  /** Of each layer that keeps a state in place of keys and values, the f32 words of that. Default: there are none. */
  readonly stateWords?: readonly number[];
  /** The layer whose prompt blocks have a scratch of their own: others attend to them later. Default: there is none. */
  readonly lender?: number | undefined;
  /** How pages hold keys and values. Default f16. */
  readonly storage?: KvStorage;
  /** L, the positions that the model was trained for: a chat that gets there folds its positions. Default: it never does. */
  readonly trained?: number;
}

/** The window of a layer, 0 where it is global: only global layers are compressed. */
export const windowOf = ({ windows }: CacheShape, layer: number): number => windows?.[layer] ?? 0;

/** The layers that the cache budget governs. */
export const globalLayers = (shape: CacheShape): number[] =>
  Array.from({ length: shape.layers }, (_, layer) => layer).filter(
    (layer) => windowOf(shape, layer) === 0,
  );

/** u32 words of a page-table row: [count, capacity, pages..., remainder]. */
export const rowWords = (shape: Pick<CacheShape, "headDim">, maxPages: number): number =>
  2 + maxPages + remainderBytes(shape) / 4;

/** Contents of struct LayerShape. */
export const layerShapeWords = (
  shape: CacheShape,
  layer: number,
  maxPages: number,
  chunkPages: number,
): Uint32Array =>
  LAYER_SHAPE.pack({
    layer,
    layers: shape.layers,
    kv_heads: shape.kvHeads,
    max_pages: maxPages,
    heads: shape.heads,
    chunk_pages: chunkPages,
    row_words: rowWords(shape, maxPages),
    stride: foldStride(shape.trained ?? 0),
  });
