import { WinnowError } from "../../errors.ts";
import type { GgufValue } from "../gguf/gguf-metadata.ts";
import { badConfig, isObject, unsupportedConfig } from "./hub-errors.ts";
import type { HubConfig } from "./hub-fields.ts";
import { linearFactor, longRope, ropeFactors, ropeOf } from "./hub-rope.ts";

/** `model_type` of config.json -> `general.architecture`. */
const ARCHITECTURE: Readonly<Record<string, string>> = {
  llama: "llama",
  mistral: "llama",
  smollm3: "smollm3",
  qwen2: "qwen2",
  qwen3: "qwen3",
  gemma3_text: "gemma3",
  gemma3: "gemma3",
  granite: "granite",
  phi3: "phi3",
};

/** Defaults of a configuration class, which a config.json may leave out. */
const DEFAULTS: Readonly<Record<string, HubConfig>> = {
  gemma3: {
    vocab_size: 262_208,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-6,
    rope_theta: 1_000_000,
    sliding_window: 4096,
    query_pre_attn_scalar: 256,
    hidden_activation: "gelu_pytorch_tanh",
  },
};

/** Granite's multipliers under a GGUF's keys; a configuration without one means 1. */
const MULTIPLIERS = [
  ["attention.scale", "attention_multiplier"],
  ["embedding_scale", "embedding_multiplier"],
  ["residual_scale", "residual_multiplier"],
  ["logit_scale", "logits_scaling"],
] as const;

const ACTIVATION: Readonly<Record<string, string>> = { gemma3: "gelu_pytorch_tanh" };

export interface HubMetadata {
  readonly architecture: string;
  /** Keys as a GGUF has them. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** f32 [R/2] divisors of the RoPE frequencies, under the names of a GGUF's tensors. */
  readonly ropeFactors: Readonly<Record<string, Float32Array<ArrayBuffer>>>;
}

/**
 * config.json under a GGUF's keys.
 * @throws unsupported_model for another architecture or RoPE scaling; bad_model_file, naming the
 *   field, for one that is missing or no number.
 */
export function configMetadata(file: HubConfig): HubMetadata {
  const type = String(file?.model_type);
  const architecture = Object.hasOwn(ARCHITECTURE, type) ? ARCHITECTURE[type] : undefined;
  if (architecture === undefined && /moe|mixtral|dbrx|jamba|gpt_oss|deepseek_v[23]/.test(type))
    throw unsupportedConfig("model_type", type, "a mixture of experts");
  if (architecture === undefined)
    throw new WinnowError(
      "unsupported_model",
      `config.json: model_type "${type}" is not supported`,
      {
        hint: `Supported in safetensors are ${Object.keys(ARCHITECTURE).join(", ")}.`,
        details: { field: "model_type", value: type, supported: Object.keys(ARCHITECTURE) },
      },
    );
  const config = decoderConfig(file);
  checkVariant(config, architecture);
  const metadata = new Map<string, GgufValue>();
  const put = (key: string, field: keyof HubConfig, fallback?: number): number | undefined => {
    const value = config[field] ?? fallback;
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isFinite(value))
      throw badConfig(field, `is ${JSON.stringify(value)}, not a number`);
    metadata.set(`${architecture}.${key}`, value);
    return value;
  };
  const need = (key: string, field: keyof HubConfig): number => {
    const value = put(key, field);
    if (value === undefined) throw badConfig(field, "is missing");
    return value;
  };
  const hidden = need("embedding_length", "hidden_size");
  const heads = need("attention.head_count", "num_attention_heads");
  need("block_count", "num_hidden_layers");
  need("feed_forward_length", "intermediate_size");
  need("context_length", "max_position_embeddings");
  need("attention.layer_norm_rms_epsilon", "rms_norm_eps");
  put("attention.head_count_kv", "num_key_value_heads", heads);
  const headDim = put("attention.key_length", "head_dim", hidden / heads) as number;
  if (architecture === "gemma3") {
    need("attention.sliding_window", "sliding_window");
    metadata.set("gemma3.attention.sliding_window_pattern", slidingPattern(config));
    const { query_pre_attn_scalar: scalar } = config;
    if (typeof scalar === "number" && scalar !== headDim)
      metadata.set("gemma3.attention.scale", 1 / Math.sqrt(scalar));
  }
  if (architecture === "granite") for (const [key, field] of MULTIPLIERS) put(key, field, 1);
  if (architecture === "phi3" && config.sliding_window !== null)
    put("attention.sliding_window", "sliding_window");
  const { base, localBase, scaling, rotated } = ropeOf(config, architecture === "phi3");
  if (rotated !== 1)
    metadata.set(`${architecture}.rope.dimension_count`, Math.floor(headDim * rotated));
  if (base !== undefined) metadata.set(`${architecture}.rope.freq_base`, base);
  if (localBase !== undefined) metadata.set(`${architecture}.rope.freq_base_swa`, localBase);
  const factor = linearFactor(scaling);
  if (factor !== undefined) {
    metadata.set(`${architecture}.rope.scaling.type`, "linear");
    metadata.set(`${architecture}.rope.scaling.factor`, factor);
    return { architecture, metadata, ropeFactors: {} };
  }
  const long = architecture === "phi3" ? longRope(scaling, config) : undefined;
  if (long) {
    for (const [key, value] of Object.entries(long.metadata))
      metadata.set(`${architecture}.rope.scaling.${key}`, value);
    return { architecture, metadata, ropeFactors: long.factors };
  }
  const factors = ropeFactors(scaling, base ?? 10000, headDim);
  const named = factors ? { "rope_freqs.weight": factors } : {};
  return { architecture, metadata, ropeFactors: named };
}

/** The decoder's part of config.json, with what its configuration class adds. */
export function decoderConfig(file: HubConfig): HubConfig {
  if (!isObject(file)) throw badConfig("file", "is not an object");
  const nested = isObject(file.text_config) ? file.text_config : {};
  const type = String(file.model_type);
  const defaults = Object.hasOwn(ARCHITECTURE, type) ? DEFAULTS[ARCHITECTURE[type]!] : {};
  return { ...defaults, ...file, ...nested };
}

/** @throws unsupported_model for experts, models that are no decoder of text, and quantised checkpoints. */
function checkKind(config: HubConfig): void {
  for (const field of ["num_local_experts", "num_experts", "n_routed_experts"] as const)
    if (Number(config[field] ?? 0) > 0)
      throw unsupportedConfig(field, config[field], "the model is a mixture of experts");
  const { architectures, quantization_config: quantised } = config;
  if (Array.isArray(architectures) && architectures.length > 0)
    if (!architectures.some((name) => /For(CausalLM|ConditionalGeneration)$/.test(String(name))))
      throw unsupportedConfig("architectures", architectures, "the model writes no text");
  if (isObject(quantised))
    throw unsupportedConfig(
      "quantization_config",
      quantised.quant_method,
      "the weights are quantised",
    );
}

/** @throws unsupported_model for what changes the arithmetic and has no tensor that would tell. */
function checkVariant(config: HubConfig, architecture: string): void {
  const refuse = (field: keyof HubConfig): never => {
    const value = config[field];
    throw new WinnowError("unsupported_model", `config.json: ${field}: ${JSON.stringify(value)}`, {
      hint: "The checkpoint is of a variant that Winnow does not compute.",
      details: { field, value },
    });
  };
  checkKind(config);
  const activation = ACTIVATION[architecture] ?? "silu";
  for (const field of ["hidden_act", "hidden_activation"] as const)
    if (config[field] !== undefined && config[field] !== null && config[field] !== activation)
      refuse(field);
  for (const field of ["attn_logit_softcapping", "final_logit_softcapping"] as const)
    if (typeof config[field] === "number") refuse(field);
  const { partial_rotary_factor: rotated = 1 } = config;
  if (rotated !== null && rotated !== 1 && architecture !== "phi3") refuse("partial_rotary_factor");
  if (config.use_sliding_window === true) refuse("use_sliding_window");
  if (config.model_type === "mistral" && typeof config.sliding_window === "number")
    refuse("sliding_window");
  const { no_rope_layers: roped } = config;
  if (architecture === "smollm3" && Array.isArray(roped))
    if (roped.some((has, layer) => Boolean(has) !== ((layer + 1) % 4 !== 0)))
      refuse("no_rope_layers");
}

/** Every so-many-th layer is global. */
function slidingPattern(config: HubConfig): number {
  const { layer_types: types, sliding_window_pattern: given = 6 } = config;
  if (!Array.isArray(types)) return given as number;
  const pattern = types.indexOf("full_attention") + 1 || types.length + 1;
  const expected = (i: number) =>
    (i + 1) % pattern === 0 ? "full_attention" : "sliding_attention";
  if (types.some((type, i) => type !== expected(i)))
    throw new WinnowError("unsupported_model", "config.json: layer_types: no regular pattern", {
      hint: "Winnow takes one global layer after each run of layers with a sliding window.",
      details: { field: "layer_types", value: types },
    });
  return pattern;
}
