/** What layers may be that keep a state in place of keys and values. */
export type StateKind = "short-conv";

/** The differences between a model family and the common decoder block; the schedule of kernels reads them. */
export interface Architecture {
  /** `general.architecture` in the GGUF. */
  readonly name: string;
  /** Q and K rows are stored for interleaved RoPE (pairs 2i, 2i+1) and are put back to half-split order. */
  readonly interleavedRope: boolean;
  /** The projections to Q, K and V have biases. */
  readonly qkvBias: boolean;
  /** RMSNorm of each query and key head, before RoPE. */
  readonly qkNorm: boolean;
  /** A norm after attention and after the MLP too, before each is added to the residual stream. */
  readonly postNorms: boolean;
  /** Activation of the gated MLP; gelu is its tanh form. */
  readonly activation: "silu" | "gelu";
  /** Embeddings are multiplied by sqrt(E). */
  readonly scaledEmbedding: boolean;
  /** Most layers see only the last tokens (a sliding window). */
  readonly sliding?: SlidingLayers;
  /** Layers without kv heads keep a state in place of keys and values: of this kind. */
  readonly stateLayers?: StateKind;
  /** The tensor of the norm before the head. Default output_norm. */
  readonly finalNorm?: string;
  /** Every so-many-th layer has no RoPE. */
  readonly ropelessEvery?: number;
  /** What users of a small cache budget should know; shown as a notice. */
  readonly caution?: string;
}

export interface SlidingLayers {
  /** Every so-many-th layer is global, unless the file says otherwise. */
  readonly pattern: number;
  /** RoPE base of the sliding layers, unless the file says otherwise. */
  readonly ropeBase: number;
}

/** Llama's block: what the others are described against. */
export const PLAIN = {
  interleavedRope: false,
  qkvBias: false,
  qkNorm: false,
  postNorms: false,
  activation: "silu",
  scaledEmbedding: false,
} as const satisfies Omit<Architecture, "name">;
