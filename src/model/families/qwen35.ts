import type { TensorSource } from "../../kernels/products/weight-sections.ts";
import { bad } from "../config-fields.ts";
import type { Rows } from "../layer-tensors.ts";
import { linearRope } from "../rope-config.ts";
import { deltaNet } from "../states/delta-net.ts";
import { type Architecture, PLAIN } from "./family.ts";

/**
 * Qwen 3.5, the dense models, text: three layers of four are gated DeltaNet, the others gated attention. Positions of text are the same
 * in all sections of its RoPE. A GGUF holds 1 + w of its norms, and the layers that guess tokens ahead are not computed.
 */
export const qwen35: Architecture = {
  ...PLAIN,
  name: "qwen35",
  qkNorm: true,
  stateLayers: deltaNet,
  mlpNorm: "post_attention_norm",
  // Text has one position, whatever sections RoPE has.
  readRope: (gguf, family, dims, headDim) => {
    if (dims % 2 !== 0 || dims > headDim)
      throw bad(`${family}.rope.dimension_count`, `found ${dims} for heads of ${headDim}`);
    return { ...linearRope(gguf, family, headDim, headDim), ropeDims: dims };
  },
  outputGate: (reader, at, { hidden: E, heads: H, kvHeads: G, headDim: D }, order) => {
    // A gate stands behind each head's query.
    const half = (second: number, of?: Rows): TensorSource => ({
      ...reader.matrix(at("attn_q"), 2 * H * D, E),
      rows: H * D,
      height: 2 * H * D,
      rowOrder: (row) => (of?.(row) ?? row) + D * (Math.floor(row / D) + second),
    });
    const keys = reader.matrix(at("attn_k"), G * D, E, order);
    const values = reader.matrix(at("attn_v"), G * D, E);
    return { qkv: [half(0, order), keys, values], more: { gate: half(1) } };
  },
  caution:
    "Qwen3.5 normalises its keys (QK-norm), and one layer of four has any: policies differ little.",
};
