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
}

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
