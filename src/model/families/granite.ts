import { getNumber } from "../../formats/gguf/gguf.ts";
import { bad } from "../config-fields.ts";
import { linearRope } from "../rope-config.ts";
import { type Architecture, PLAIN } from "./family.ts";

/**
 * Granite 3 and 4 of IBM, the dense models: Llama's block with multipliers of embeddings, of what layers add to the residual
 * stream, of attention and of logits. What only adds h += r f(norm(h)) runs as h / r += f(norm(h / r)): embeddings are
 * divided by r, epsilon by r^2, and no kernel knows of it.
 */
export const granite: Architecture = {
  ...PLAIN,
  name: "granite",
  interleavedRope: true,
  readRope: (gguf, family, dims, headDim) => {
    const turns = gguf.metadata.get(`${family}.rope.scaling.finetuned`) !== false;
    const rope = linearRope(gguf, family, dims, headDim);
    return turns ? rope : { ...rope, ropeDims: 0 };
  },
  readOwn: (gguf, { normEpsilon }) => {
    const scale = (key: string): number => {
      const field = `granite.${key}`;
      // Zero says that there is none.
      const value = getNumber(gguf, field, 1) || 1;
      if (!(value > 0 && Number.isFinite(value))) throw bad(field, `found ${value}`);
      return value;
    };
    const residual = scale("residual_scale");
    return {
      normEpsilon: normEpsilon / residual ** 2,
      embeddingScale: scale("embedding_scale") / residual,
      // The file has what logits are divided by.
      logitScale: 1 / scale("logit_scale"),
    };
  },
};
