import { bad } from "../config-fields.ts";
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
  outputGate: true,
  caution:
    "Qwen3.5 normalises its keys (QK-norm), and one layer of four has any: policies differ little.",
};
