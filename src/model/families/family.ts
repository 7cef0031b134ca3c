import type { Gguf } from "../../formats/gguf/gguf.ts";
import { linearRope, type ReadRope } from "../rope-config.ts";
import type { StateKind } from "../states/state-kind.ts";

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
  /** How the files describe RoPE. */
  readonly readRope: ReadRope;
  /** Numbers of the family's own, instead of those of `basis`. Throws bad_model_file, unsupported_model. */
  readonly readOwn?: (gguf: Gguf, basis: OwnNumbers) => Partial<OwnNumbers>;
  /** Some layers keep a state in place of keys and values: of this kind. */
  readonly stateLayers?: StateKind;
  /** The tensor of the norm before the head. Default output_norm. */
  readonly finalNorm?: string;
  /** The tensor of the norm before the MLP. Default ffn_norm. */
  readonly mlpNorm?: string;
  /** attn_q has a gate behind each head's query: what the head finds is multiplied by its sigmoid. */
  readonly outputGate?: boolean;
  /** Every so-many-th layer has no RoPE. */
  readonly ropelessEvery?: number;
  /** What users of a small cache budget should know; shown as a notice. */
  readonly caution?: string;
}

/** Numbers of the model that only some families have. */
export interface OwnNumbers {
  /** E */
  readonly hidden: number;
  readonly contextLength: number;
  readonly normEpsilon: number;
  /** Embeddings are multiplied by it. */
  readonly embeddingScale: number;
  /** Logits are multiplied by it. */
  readonly logitScale: number;
  /** [L]: tokens a layer with a sliding window sees, 0 for a global one. */
  readonly windows: readonly number[];
  /** RoPE base of layers with a sliding window; undefined: they have the RoPE of the others. */
  readonly localRopeBase: number | undefined;
}

/** Llama's block: what the others are described against. */
export const PLAIN = {
  interleavedRope: false,
  qkvBias: false,
  qkNorm: false,
  postNorms: false,
  activation: "silu",
  readRope: linearRope,
} as const satisfies Omit<Architecture, "name">;
