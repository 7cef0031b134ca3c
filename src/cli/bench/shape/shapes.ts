/** Models whose speed is measured on random weights, as their config.json describes them. */
import { invalidArgument } from "../../../errors.ts";
import type { HubConfig } from "../../../formats/checkpoint/hub-fields.ts";
import type { CommandFiles } from "../../command.ts";

/** config.json; families beside those of `HubConfig` have fields of their own. */
export type ShapeConfig = HubConfig & Readonly<Record<string, unknown>>;

const LLAMA3 = {
  model_type: "llama",
  num_key_value_heads: 8,
  intermediate_size: 8192,
  vocab_size: 128_256,
  max_position_embeddings: 131_072,
  rms_norm_eps: 1e-5,
  rope_theta: 500_000,
  rope_scaling: {
    rope_type: "llama3",
    factor: 32,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  },
  tie_word_embeddings: true,
};

const SHAPES: Readonly<Record<string, ShapeConfig>> = {
  "llama-3.2-1b": {
    ...LLAMA3,
    hidden_size: 2048,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    head_dim: 64,
  },
  "llama-3.2-3b": {
    ...LLAMA3,
    hidden_size: 3072,
    num_hidden_layers: 28,
    num_attention_heads: 24,
    head_dim: 128,
  },
  "qwen3-0.6b": {
    model_type: "qwen3",
    hidden_size: 1024,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    intermediate_size: 3072,
    vocab_size: 151_936,
    max_position_embeddings: 40_960,
    rms_norm_eps: 1e-6,
    rope_theta: 1_000_000,
    tie_word_embeddings: true,
  },
  "qwen3.5-0.8b": {
    model_type: "qwen3_5_text",
    hidden_size: 1024,
    num_hidden_layers: 24,
    full_attention_interval: 4,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    head_dim: 256,
    intermediate_size: 3584,
    vocab_size: 248_320,
    max_position_embeddings: 262_144,
    rms_norm_eps: 1e-6,
    rope_parameters: { rope_theta: 10_000_000, partial_rotary_factor: 0.25 },
    linear_conv_kernel_dim: 4,
    linear_key_head_dim: 128,
    linear_value_head_dim: 128,
    linear_num_key_heads: 16,
    linear_num_value_heads: 16,
    tie_word_embeddings: true,
  },
  "gemma-4-e2b": {
    model_type: "gemma4_text",
    hidden_size: 1536,
    num_hidden_layers: 35,
    sliding_window_pattern: 5,
    num_kv_shared_layers: 20,
    num_attention_heads: 8,
    num_key_value_heads: 1,
    head_dim: 256,
    global_head_dim: 512,
    sliding_window: 512,
    intermediate_size: 6144,
    use_double_wide_mlp: true,
    vocab_size: 262_144,
    hidden_size_per_layer_input: 256,
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-6,
    final_logit_softcapping: 30,
    rope_parameters: {
      sliding_attention: { rope_theta: 10_000 },
      full_attention: { rope_theta: 1_000_000, partial_rotary_factor: 0.25 },
    },
    tie_word_embeddings: true,
  },
  "lfm2.5-1.2b": {
    model_type: "lfm2",
    hidden_size: 2048,
    num_hidden_layers: 16,
    full_attn_idxs: [2, 5, 8, 10, 12, 14],
    num_attention_heads: 32,
    num_key_value_heads: 8,
    intermediate_size: 12_288,
    vocab_size: 65_536,
    max_position_embeddings: 128_000,
    norm_eps: 1e-5,
    rope_theta: 1_000_000,
    conv_L_cache: 3,
  },
};

/** The shape of that name, or in a config.json. Throws invalid_argument, listing the names. */
export async function readShape(name: string, files: CommandFiles): Promise<ShapeConfig> {
  const known = Object.hasOwn(SHAPES, name) ? SHAPES[name] : undefined;
  if (known) return known;
  const hint = `Shapes are ${Object.keys(SHAPES).join(", ")}, or the path of a config.json.`;
  if (!/\.json$|[\\/]/.test(name)) throw invalidArgument("--shape", `there is no "${name}"`, hint);
  const text = await files.readText("shape", name);
  try {
    const config: unknown = JSON.parse(text);
    if (typeof config === "object" && config !== null && !Array.isArray(config))
      return config as ShapeConfig;
  } catch {}
  throw invalidArgument("--shape", `${name} is no config.json`, hint);
}
