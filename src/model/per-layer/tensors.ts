/** Where the weights of layers with per-layer embeddings lie, and how much room they take beside those of other families. */
import { type KvStorage, scratchBytes } from "../../kernels/pages/page-format.ts";
import type { Block } from "../blocks.ts";
import { blockRows, CHUNK_ROWS } from "../buffers.ts";
import type { ModelNumbers } from "../families/family.ts";
import type { LayerTensors, TensorFinder } from "../layer-tensors.ts";
import type { Vector } from "../vector.ts";

/** f32 or quantised [V, blocks, P]: what each token gives each layer. */
export const TABLE = "per_layer_token_embd.weight";

const ones = (length: number): Vector => ({
  length,
  read: async () => new Float32Array(length).fill(1),
});

export function tensorsOf(
  reader: TensorFinder,
  { hidden: E, heads: H, kvHeads: G, vocabulary: V, layerwise }: ModelNumbers,
  { borrows }: Block,
  index: number,
): LayerTensors {
  const { headSizes, mlps, inputSize: P } = layerwise!;
  const [d, F] = [headSizes[index]!, mlps[index]!];
  const at = (part: string): string => `blk.${index}.${part}.weight`;
  const all = mlps.length * P;
  // Asked for here, so that its shape is checked before anything is read of it.
  if (index === 0) reader.matrix(TABLE, V, all);
  // Files have them also where nothing reads them.
  if (borrows) {
    for (const part of ["attn_k", "attn_v"]) reader.optional(at(part), E, G * d);
    reader.optional(at("attn_k_norm"), d);
  }
  return {
    attentionNorm: reader.vector(at("attn_norm"), E),
    qkv: borrows
      ? [reader.matrix(at("attn_q"), H * d, E)]
      : [
          reader.matrix(at("attn_q"), H * d, E),
          reader.matrix(at("attn_k"), G * d, E),
          reader.matrix(at("attn_v"), G * d, E),
        ],
    qkNorm: [
      reader.vector(at("attn_q_norm"), d),
      borrows ? ones(d) : reader.vector(at("attn_k_norm"), d),
    ],
    output: reader.matrix(at("attn_output"), E, H * d),
    postAttentionNorm: reader.vector(at("post_attention_norm"), E),
    mlpNorm: reader.vector(at("ffn_norm"), E),
    gateUp: [reader.matrix(at("ffn_gate"), F, E), reader.matrix(at("ffn_up"), F, E)],
    down: reader.matrix(at("ffn_down"), E, F),
    postMlpNorm: reader.vector(at("post_ffw_norm"), E),
    more: {
      inputGate: reader.matrix(at("inp_gate"), P, E),
      inputProjection: reader.matrix(at("proj"), E, P),
      // Once for all layers.
      ...(index === 0 && { allInputs: reader.matrix("per_layer_model_proj.weight", all, E) }),
    },
    state: {
      inputNorm: reader.vector(at("post_norm"), E),
      factor: reader.optional(at("layer_output_scale"), 1) ?? ones(1),
      ...(index === 0 && { allInputsNorm: reader.vector("per_layer_proj_norm.weight", P) }),
    },
  };
}

/** Bytes of the activations of `extend`, of a prompt block's inputs while one is read, and of the lender's scratch. */
export function extraBytes(config: ModelNumbers, storage: KvStorage): number {
  const { heads, kvHeads, headDim, lender, layerwise } = config;
  const { inputSize, mlps } = layerwise!;
  const all = mlps.length * inputSize;
  const step = CHUNK_ROWS * ((heads + 2 * kvHeads) * headDim + 3 * all + inputSize);
  const rows = blockRows(config);
  const scratch = lender === undefined ? 0 : scratchBytes({ headDim, storage }, kvHeads, rows);
  return 4 * (step + rows * all) + scratch;
}
