import type { Gguf } from "../../formats/gguf/gguf.ts";
import type { KvStorage } from "../../kernels/pages/page-format.ts";
import type { Block } from "../blocks.ts";
import type { LayerTensors, Rows, TensorFinder } from "../layer-tensors.ts";
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
  readonly readOwn?: (gguf: Gguf, basis: OwnNumbers) => Partial<OwnNumbers & OwnBlocks>;
  /** Some layers keep a state in place of keys and values: of this kind. */
  readonly stateLayers?: StateKind;
  /** The tensor of the norm before the head. Default output_norm. */
  readonly finalNorm?: string;
  /** The tensor of the norm before the MLP. Default ffn_norm. */
  readonly mlpNorm?: string;
  /** What the heads find is multiplied by the sigmoid of the matrix `gate`: where it is, and Q, K and V; `order`: of rows that RoPE turns. */
  readonly outputGate?: (
    reader: TensorFinder,
    at: (part: string) => string,
    config: ModelNumbers,
    order: Rows | undefined,
  ) => Required<Pick<LayerTensors, "qkv" | "more">>;
  /** Every so-many-th layer has no RoPE. */
  readonly ropelessEvery?: number;
  /** Keys of the file by which logits are capped, where the family does that. */
  readonly caps?: readonly string[];
  /** What its layers have that no other family's have. */
  readonly extension?: Extension;
  /** What users of a small cache budget should know; shown as a notice. */
  readonly caution?: string;
}

/** Layers that have weights of their own, and kernels that `src/model/per-layer` has. */
export interface Extension {
  /** The widest MLP of a layer. Throws bad_model_file. */
  readMlp(gguf: Gguf): number;
  /**
   * A tensor of which the rows of tokens are read from the file as these are run: it never lies on the GPU. So the host must
   * know a token before its step: none runs ahead, and none is guessed.
   */
  readonly table: string;
  /** Bytes of the activations that such a model has besides, and of a scratch of the lender's own. */
  extraBytes(config: ModelNumbers, storage: KvStorage): number;
  /** Where a layer's weights lie. Throws bad_model_file. */
  tensors(reader: TensorFinder, config: ModelNumbers, block: Block, index: number): LayerTensors;
}

/** Numbers that all models have, with those that only some families have. */
export interface ModelNumbers extends OwnNumbers {
  /** H */
  readonly heads: number;
  /** G */
  readonly kvHeads: number;
  /** D */
  readonly headDim: number;
  /** V */
  readonly vocabulary: number;
}

/** Which layers hold keys and values, where that is not all of them or those without a state. */
interface OwnBlocks {
  /** L */
  readonly layers: number;
  readonly blocks: readonly Block[];
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
  /** How many dimensions RoPE turns in such layers. Default: as many as in the others. */
  readonly localRopeDims?: number;
  /** The layer whose prompt blocks are attended to after other layers have written theirs: its scratch is its own. */
  readonly lender?: number;
  /** What only a family's extension reads. */
  readonly layerwise?: Layerwise;
}

/** Numbers of layers that differ from each other, and of per-layer embeddings. */
export interface Layerwise {
  /** Per block: dimensions of its heads, at most D. */
  readonly headSizes: readonly number[];
  /** Per block: the width of its MLP, at most F. */
  readonly mlps: readonly number[];
  /** What a token's row of the table has for each block. */
  readonly inputSize: number;
  /** Logits become cap tanh(logits / cap). */
  readonly logitCap: number | undefined;
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
