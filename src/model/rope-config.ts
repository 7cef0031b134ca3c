import { WinnowError } from "../errors.ts";
import { type Gguf, getNumber } from "../formats/gguf/gguf.ts";
import { bad } from "./config-fields.ts";

/** What turns queries and keys. */
export interface Rope {
  /** R: so many of a head's D dimensions are turned, by R/2 angles; 0 where positions are not seen. */
  readonly ropeDims: number;
  /** What the frequencies of global layers are divided by (linear scaling). */
  readonly ropeDivisor: number;
  /** [R/2]: of each of them, where they differ. */
  readonly ropeDivisors?: Float64Array;
  /** Tensors [R/2] of what each frequency is divided by besides: the first of them that the file has is in use. */
  readonly ropeFactors: readonly string[];
  /** What the product of a turned query and a turned key is multiplied by. */
  readonly ropeGain: number;
}

/** How a family's files describe RoPE; `dims` as they say. Throws bad_model_file, unsupported_model. */
export type ReadRope = (gguf: Gguf, family: string, dims: number, headDim: number) => Rope;

/**
 * RoPE over the whole head, with linear scaling or none. A factor without a type means linear scaling, as in llama.cpp.
 * @throws unsupported_model for another scaling, or RoPE over a part of the head.
 */
export const linearRope: ReadRope = (gguf, family, ropeDims, headDim) => {
  const { metadata } = gguf;
  const key = (name: string) => `${family}.rope.${name}`;
  const type = metadata.get(key("scaling.type")) ?? "linear";
  const attention = getNumber(gguf, key("scaling.attn_factor"), 1);
  if (ropeDims !== headDim || (type !== "none" && type !== "linear") || attention !== 1) {
    const scaled = attention === 1 ? "" : ` and attention factor ${attention}`;
    throw new WinnowError(
      "unsupported_model",
      `RoPE over ${ropeDims} of ${headDim} dimensions with scaling "${String(type)}"${scaled}`,
      {
        hint: "In this family Winnow takes RoPE over the whole head, plain or with linear scaling.",
        details: { field: `${family}.rope` },
      },
    );
  }
  // Files from before 2024 have scale_linear. Zero says that there is none.
  const field = key(metadata.has(key("scaling.factor")) ? "scaling.factor" : "scale_linear");
  const factor = type === "none" ? 1 : getNumber(gguf, field, 1) || 1;
  if (factor < 0) throw bad(field, `found ${factor}`);
  return { ropeDims, ropeDivisor: factor, ropeFactors: ["rope_freqs.weight"], ropeGain: 1 };
};
