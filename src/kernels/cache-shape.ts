/** What the cache kernels are specialised for. */
export interface CacheShape {
  /** L */
  readonly layers: number;
  /** H */
  readonly heads: number;
  /** G */
  readonly kvHeads: number;
  /** D, a multiple of 8. */
  readonly headDim: number;
  /** [L]: the last tokens that a layer with a sliding window sees; 0 for a global layer. Default: all global. */
  readonly windows?: readonly number[];
}

/** The window of a layer, 0 where it is global: only global layers are compressed. */
export const windowOf = ({ windows }: CacheShape, layer: number): number => windows?.[layer] ?? 0;

/** The layers that the cache budget governs. */
export const globalLayers = (shape: CacheShape): number[] =>
  Array.from({ length: shape.layers }, (_, layer) => layer).filter(
    (layer) => windowOf(shape, layer) === 0,
  );

/** P: slots a page. */
export const PAGE_SLOTS = 32;

/** Pages that hold `slots` slots. */
export const pagesFor = (slots: number): number => Math.ceil(slots / PAGE_SLOTS);

/** u32 words of a page: P keys and values as f16 pairs, positions, scores. */
export const pageWords = (headDim: number): number => PAGE_SLOTS * (headDim + 2);

/** u32 words of struct LayerShape in shaders/lib/paging.wgsl. */
export const LAYER_SHAPE_WORDS = 8;

/** Contents of struct LayerShape. */
export function layerShapeWords(
  shape: CacheShape,
  layer: number,
  maxPages: number,
  chunkPages: number,
): Uint32Array {
  return new Uint32Array([
    layer,
    shape.layers,
    shape.kvHeads,
    maxPages,
    shape.heads,
    chunkPages,
    0,
    0,
  ]);
}
