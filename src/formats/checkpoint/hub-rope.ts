/** RoPE as config.json gives it: bases, linear scaling, and that of Llama 3. */
import { WinnowError } from "../../errors.ts";
import { badConfig, isObject, unsupportedConfig } from "./hub-errors.ts";
import type { HubConfig } from "./hub-fields.ts";

interface Rope {
  base?: number;
  localBase?: number;
  scaling?: Record<string, unknown>;
  /** The share of a head's dimensions that turn. */
  rotated: number;
}

/** `partly`: the family may turn a part of a head. */
export function ropeOf(config: HubConfig, partly = false): Rope {
  const nested = isObject(config.rope_parameters) ? config.rope_parameters : {};
  // Gemma 3 keeps one entry a kind of layer; the global one is what a GGUF calls freq_base.
  const rope = isObject(nested.full_attention) ? nested.full_attention : nested;
  const local = isObject(nested.sliding_attention) ? nested.sliding_attention : {};
  const base = rope.rope_theta ?? config.rope_theta;
  const localBase = local.rope_theta ?? config.rope_local_base_freq;
  const scaling = config.rope_scaling ?? rope;
  const part = rope.partial_rotary_factor ?? config.partial_rotary_factor ?? 1;
  const localType = local.rope_type ?? "default";
  const rotated = Number(part);
  if (localType !== "default")
    throw unsupportedConfig(
      "rope_parameters.sliding_attention",
      localType,
      "Winnow takes plain RoPE",
    );
  if (!(partly ? rotated > 0 && rotated <= 1 : rotated === 1))
    throw unsupportedConfig(
      "rope_parameters.partial_rotary_factor",
      part,
      "Winnow turns whole heads",
    );
  return {
    rotated,
    ...(typeof base === "number" ? { base } : {}),
    ...(typeof localBase === "number" ? { localBase } : {}),
    ...(isObject(scaling) ? { scaling } : {}),
  };
}

/** LongRoPE's divisors, and what a GGUF says of it under rope.scaling; undefined for other kinds. */
export function longRope(scaling: Record<string, unknown> | undefined, config: HubConfig) {
  const { type, rope_type: kind = type, long_factor, short_factor } = scaling ?? {};
  if (kind !== "longrope" && kind !== "su") return undefined;
  const factors = (field: string, value: unknown): Float32Array<ArrayBuffer> => {
    if (!Array.isArray(value) || !value.every((one) => typeof one === "number" && one > 0))
      throw badConfig(`rope_scaling.${field}`, "is not a list of positive numbers");
    return Float32Array.from(value);
  };
  const { original_max_position_embeddings: given = config.original_max_position_embeddings } =
    scaling ?? {};
  const original = Number(given);
  if (!(original > 1)) throw badConfig("original_max_position_embeddings", `is ${String(given)}`);
  const stretch = Number(scaling?.factor ?? Number(config.max_position_embeddings) / original);
  const usual = stretch > 1 ? Math.sqrt(1 + Math.log(stretch) / Math.log(original)) : 1;
  return {
    metadata: {
      type: "longrope",
      original_context_length: original,
      attn_factor: Number(scaling?.attention_factor ?? usual),
    },
    factors: {
      "rope_factors_long.weight": factors("long_factor", long_factor),
      "rope_factors_short.weight": factors("short_factor", short_factor),
    },
  };
}

/** The factor of linear scaling; undefined for other kinds. */
export function linearFactor(scaling: Record<string, unknown> | undefined): number | undefined {
  const { type, rope_type: kind = type, factor } = scaling ?? {};
  const field = "rope_scaling.factor";
  // Some would take it as linear scaling, others as none.
  if (kind === undefined && factor !== undefined && factor !== null && factor !== 1)
    throw unsupportedConfig(field, factor, "does not say of which kind the scaling is");
  if (kind !== "linear") return undefined;
  if (typeof factor !== "number" || !(factor > 0))
    throw badConfig(field, `is ${JSON.stringify(factor)}, not a positive number`);
  return factor;
}

/**
 * The smoothed divisors of Llama 3 (`_compute_llama3_parameters` in transformers); undefined for
 * plain RoPE.
 */
export function ropeFactors(
  scaling: Record<string, unknown> | undefined,
  base: number,
  headDim: number,
): Float32Array<ArrayBuffer> | undefined {
  const type = scaling?.rope_type ?? scaling?.type ?? "default";
  if (type === "default") return undefined;
  if (type !== "llama3")
    throw new WinnowError("unsupported_model", `config.json: RoPE scaling "${String(type)}"`, {
      hint: "Winnow takes plain RoPE and that of Llama 3.",
      details: { field: "rope_scaling", value: type },
    });
  const number = (field: string): number => {
    const value = scaling?.[field];
    if (typeof value !== "number") throw badConfig(`rope_scaling.${field}`, "is not a number");
    return value;
  };
  const factor = number("factor");
  const [low, high] = [number("low_freq_factor"), number("high_freq_factor")];
  const original = number("original_max_position_embeddings");
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * base ** ((2 * i) / headDim);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
