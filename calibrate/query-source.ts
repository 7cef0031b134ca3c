/** Queries of some rows (tokens) of one layer. */
export interface QueryBatch {
  readonly layer: number;
  readonly rows: number;
  /**
   * [rows, H, D], after RoPE (and after any query norm), D in the half-split order of transformers,
   * which is the order of the filters that come out. May be reused by the source after the
   * consumer asks for the next batch.
   */
  readonly queries: Float32Array;
}

/** Where calibration gets its queries: the engine's forward pass over texts, or a test's array. */
export interface QuerySource {
  /** L */
  readonly layers: number;
  /** H, a multiple of G */
  readonly heads: number;
  /** G */
  readonly kvHeads: number;
  /** D */
  readonly headDim: number;
  /** Rows a layer that `batches` will yield, where known: for progress, and to refuse short texts early. */
  readonly rows?: number;
  /** Any order of layers; the rows of one layer come in text order. */
  batches(signal?: AbortSignal): AsyncIterable<QueryBatch>;
}
