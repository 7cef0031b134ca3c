import { WinnowError } from "../../errors.ts";
import { getNumber } from "../../formats/gguf/gguf.ts";
import { bad } from "../config-fields.ts";
import type { ReadRope } from "../rope-config.ts";

/**
 * RoPE over the first `dims` dimensions of a head, and LongRoPE (arXiv 2402.13753): a tensor of divisors for models that go
 * beyond the context they were trained for first, another for those that do not. Which one is in use holds for the
 * model, as in llama.cpp and vLLM: cached keys are turned by one.
 */
export const longRope: ReadRope = (gguf, family, ropeDims, headDim) => {
  const key = (name: string) => `${family}.rope.${name}`;
  const type = gguf.metadata.get(key("scaling.type")) ?? "longrope";
  if (type !== "longrope" && type !== "none")
    throw new WinnowError("unsupported_model", `RoPE with scaling "${String(type)}"`, {
      hint: "In this family Winnow takes plain RoPE and LongRoPE.",
      details: { field: key("scaling.type"), value: type },
    });
  if (ropeDims > headDim || ropeDims % 2 !== 0)
    throw bad(key("dimension_count"), `must be an even number up to ${headDim}, found ${ropeDims}`);
  const attention = getNumber(gguf, key("scaling.attn_factor"), 1);
  if (!(attention > 0 && attention < 1e3))
    throw bad(key("scaling.attn_factor"), `found ${attention}`);
  const length = getNumber(gguf, `${family}.context_length`);
  const original = getNumber(gguf, key("scaling.original_context_length"), length);
  const factors = ["rope_factors_long.weight", "rope_factors_short.weight"];
  return {
    ropeDims,
    ropeDivisor: 1,
    ropeFactors: length > original ? factors : factors.reverse(),
    // Turned queries are multiplied by it, and turned keys.
    ropeGain: attention ** 2,
  };
};
