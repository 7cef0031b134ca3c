import { getNumber } from "../../formats/gguf/gguf.ts";
import { bad } from "../config-fields.ts";
import { linearRope, type ReadRope } from "../rope-config.ts";

/**
 * YaRN (arXiv 2309.00071) where the file says so, else as `linearRope`: pairs that turn often keep their frequencies, those that
 * turn less than once within the first context are slowed by `factor`, and between the two it goes over evenly. Throws as
 * `linearRope`, and bad_model_file.
 */
export const yarnRope: ReadRope = (gguf, family, dims, headDim) => {
  const key = (name: string) => `${family}.rope.${name}`;
  if (gguf.metadata.get(key("scaling.type")) !== "yarn")
    return linearRope(gguf, family, dims, headDim);
  const number = (name: string, fallback?: number): number => {
    const value = getNumber(gguf, key(name), fallback);
    if (value > 0 && Number.isFinite(value)) return value;
    throw bad(key(name), `must be above 0, found ${value}`);
  };
  const base = number("freq_base", 10_000);
  const factor = number("scaling.factor");
  const original = number("scaling.original_context_length");
  const share = getNumber(gguf, key("scaling.yarn_log_multiplier"), 0);
  if (dims !== headDim) throw bad(key("dimension_count"), `must be ${headDim}, found ${dims}`);
  // The pair that turns so many times within the first context.
  const pairOf = (turns: number): number =>
    (dims * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(0, Math.floor(pairOf(number("scaling.yarn_beta_fast", 32))));
  const high = Math.min(dims - 1, Math.ceil(pairOf(number("scaling.yarn_beta_slow", 1))));
  const slowed = (pair: number): number =>
    Math.min(1, Math.max(0, (pair - low) / Math.max(0.001, high - low)));
  const attention = (multiplier: number): number =>
    factor > 1 ? 0.1 * multiplier * Math.log(factor) + 1 : 1;
  return {
    ropeDims: dims,
    ropeDivisor: 1,
    ropeDivisors: Float64Array.from({ length: dims / 2 }, (_, pair) => {
      const part = slowed(pair);
      return 1 / (part / factor + 1 - part);
    }),
    ropeFactors: [],
    // Turned queries and keys are multiplied by it.
    ropeGain: (attention(1) / (share === 0 ? 1 : attention(share))) ** 2,
  };
};
