/** Queries, keys and values of one layer's heads, for some consecutive tokens of one sequence. */
export interface QueryBatch {
  readonly layer: number;
  /** Rows: tokens. */
  readonly rows: number;
  /** Position of the first row in its sequence; 0 begins a new sequence. */
  readonly start: number;
  /**
   * [rows, H, D], after RoPE (and after any query norm), D in the half-split order of transformers,
   * which is the order of the filters that come out. May be reused by the source after the
   * consumer asks for the next batch; so may keys and values.
   */
  readonly queries: Float32Array;
  /**
   * [rows, G, D], after RoPE (and after any key norm), and [rows, G, D]. A source of queries alone leaves
   * both out, and then nothing is learned about attention.
   */
  readonly keys?: Float32Array;
  readonly values?: Float32Array;
  /** [rows]: lengths of the residual stream that enters the layer. */
  readonly residual?: Float32Array;
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
  /** [L][D/2]: radians a position that a layer's RoPE turns each rotary pair by; zeros where it has none. */
  readonly frequencies: readonly ArrayLike<number>[];
  /** Rows a layer that `batches` will yield, where known: for progress, and to refuse short texts early. */
  readonly rows?: number;
  /** Attention's output matrix [E, H D] of a layer; without it, head budgets cannot be made. */
  outputMatrix?(layer: number): Promise<Float32Array>;
  /** Documents that are read twice; without them, no head budgets are made for that. */
  rereads?: Rereads;
  /** Any order of layers; the rows of one layer come in text order. */
  batches(signal?: AbortSignal): AsyncIterable<QueryBatch>;
}

/** Documents of as many tokens each. */
export interface Rereads {
  readonly tokens: number;
  readonly documents: number;
  /** Of each document [L][G][tokens]: the most attention that a row of its second reading pays to each of its pairs. */
  attention(signal?: AbortSignal): AsyncIterable<readonly (readonly Float32Array[])[]>;
}

export type SourceShape = Pick<QuerySource, "layers" | "heads" | "kvHeads" | "headDim">;
