import { WinnowError } from "../errors.ts";
import type { GgufValue } from "./gguf-metadata.ts";

/** What is read of a repository's config.json. */
export interface HubConfig {
  readonly model_type?: unknown;
  readonly hidden_size?: unknown;
  readonly num_hidden_layers?: unknown;
  readonly num_attention_heads?: unknown;
  readonly num_key_value_heads?: unknown;
  readonly head_dim?: unknown;
  readonly intermediate_size?: unknown;
  readonly vocab_size?: unknown;
  readonly max_position_embeddings?: unknown;
  readonly rms_norm_eps?: unknown;
  readonly rope_theta?: unknown;
  readonly rope_scaling?: unknown;
  /** Where newer versions of transformers keep both of the above. */
  readonly rope_parameters?: unknown;
  readonly sliding_window?: unknown;
  readonly tie_word_embeddings?: unknown;
  readonly bos_token_id?: unknown;
  readonly eos_token_id?: unknown;
}

/** `model_type` of config.json -> `general.architecture`. */
const ARCHITECTURE: Readonly<Record<string, string>> = {
  llama: "llama",
  qwen2: "qwen2",
  qwen3: "qwen3",
  gemma3_text: "gemma3",
};

const badConfig = (field: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `config.json: ${field}: ${problem}`, {
    hint: "Take config.json and the weights from one repository.",
    details: { file: "config.json", field },
  });

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export interface HubMetadata {
  readonly architecture: string;
  /** Keys as a GGUF has them. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** f32 [D/2] divisors of the RoPE frequencies, `rope_freqs.weight` of a GGUF, where there are any. */
  readonly ropeFactors: Float32Array<ArrayBuffer> | undefined;
}

/**
 * config.json under a GGUF's keys.
 * @throws unsupported_model for another architecture or RoPE scaling; bad_model_file, naming the
 *   field, for one that is missing or no number.
 */
export function configMetadata(config: HubConfig): HubMetadata {
  if (!isObject(config)) throw badConfig("file", "is not an object");
  const type = String(config.model_type);
  const architecture = Object.hasOwn(ARCHITECTURE, type) ? ARCHITECTURE[type] : undefined;
  if (architecture === undefined)
    throw new WinnowError(
      "unsupported_model",
      `config.json: model_type "${type}" is not supported`,
      {
        hint: `Supported in safetensors are ${Object.keys(ARCHITECTURE).join(", ")}.`,
        details: { field: "model_type", value: type, supported: Object.keys(ARCHITECTURE) },
      },
    );
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
  if (architecture === "gemma3") need("attention.sliding_window", "sliding_window");
  const { base, scaling } = ropeOf(config);
  if (base !== undefined) metadata.set(`${architecture}.rope.freq_base`, base);
  return { architecture, metadata, ropeFactors: ropeFactors(scaling, base ?? 10000, headDim) };
}

function ropeOf(config: HubConfig): { base?: number; scaling?: Record<string, unknown> } {
  const nested = isObject(config.rope_parameters) ? config.rope_parameters : {};
  // Gemma 3 keeps one entry a kind of layer; the global one is what a GGUF calls freq_base.
  const rope = isObject(nested.full_attention) ? nested.full_attention : nested;
  const base = config.rope_theta ?? rope.rope_theta;
  const scaling = config.rope_scaling ?? rope;
  return {
    ...(typeof base === "number" ? { base } : {}),
    ...(isObject(scaling) ? { scaling } : {}),
  };
}

/**
 * The smoothed divisors of Llama 3 (`_compute_llama3_parameters` in transformers); undefined for
 * plain RoPE.
 */
function ropeFactors(
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
