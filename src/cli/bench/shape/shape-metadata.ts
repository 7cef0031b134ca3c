/** config.json under a GGUF's keys, also of families that are not read from checkpoints. */
import {
  configMetadata,
  decoderConfig,
  type HubMetadata,
} from "../../../formats/checkpoint/hub-config.ts";
import { badConfig, isObject } from "../../../formats/checkpoint/hub-errors.ts";
import type { GgufValue } from "../../../formats/gguf/gguf-metadata.ts";
import { layerTypes, namedTypes } from "./layer-types.ts";
import type { ShapeConfig } from "./shapes.ts";

/** A family: its name, its own keys, and what it has in place of Qwen 3's fields. */
interface OwnKeys {
  readonly architecture: string;
  readonly keys: Readonly<Record<string, GgufValue>>;
  readonly instead?: ShapeConfig;
  readonly ropeFactors?: HubMetadata["ropeFactors"];
}

const OWN: Readonly<Record<string, (config: ShapeConfig) => OwnKeys>> = {
  lfm2: (config) => ({
    architecture: "lfm2",
    instead: { rms_norm_eps: config.norm_eps, intermediate_size: lfm2Width(config) },
    keys: {
      "attention.head_count_kv": Int32Array.from(layerTypes(config), (type) =>
        type === "conv" ? 0 : number(config, "num_key_value_heads"),
      ),
      "shortconv.l_cache": number(config, "conv_L_cache"),
    },
  }),
  gemma4_text: (config) => {
    const rope = isObject(config.rope_parameters) ? config.rope_parameters : {};
    const of = (kind: string) => (isObject(rope[kind]) ? rope[kind] : {});
    const [local, global] = [of("sliding_attention"), of("full_attention")];
    const perLayer = isObject(config.per_layer_config) ? config.per_layer_config : {};
    const [other] = Object.values(perLayer).filter(isObject);
    const size = Number(config.global_head_dim ?? other?.head_dim ?? 512);
    const own = number(config, "num_hidden_layers") - Number(config.num_kv_shared_layers ?? 0);
    const wide = config.use_double_wide_mlp === true ? 2 : 1;
    // Pairs of the other dimensions are not turned.
    const turned = (size / 2) * Number(global.partial_rotary_factor ?? 0.25);
    const factors = Float32Array.from({ length: size / 2 }, (_, i) => (i < turned ? 1 : 1e30));
    return {
      architecture: "gemma4",
      instead: {
        head_dim: size,
        rope_theta: global.rope_theta ?? 1_000_000,
        rope_parameters: undefined,
        final_logit_softcapping: undefined,
        hidden_activation: undefined,
      },
      keys: {
        feed_forward_length: Int32Array.from(
          layerTypes(config),
          (_, layer) => number(config, "intermediate_size") * (layer < own ? 1 : wide),
        ),
        "attention.sliding_window": number(config, "sliding_window"),
        "attention.sliding_window_pattern": namedTypes(config).map(
          (type) => type !== "full_attention",
        ),
        "attention.shared_kv_layers": Number(config.num_kv_shared_layers ?? 0),
        "attention.key_length_swa": number(config, "head_dim"),
        "rope.dimension_count_swa": number(config, "head_dim"),
        "rope.freq_base_swa": Number(local.rope_theta ?? 10_000),
        embedding_length_per_layer_input: number(config, "hidden_size_per_layer_input"),
        final_logit_softcapping: Number(config.final_logit_softcapping ?? 0),
      },
      ropeFactors: { "rope_freqs.weight": factors },
    };
  },
  qwen3_5_text: (config) => {
    const rope = isObject(config.rope_parameters) ? config.rope_parameters : {};
    const dim = number(config, "linear_value_head_dim");
    const heads = number(config, "linear_num_value_heads");
    return {
      architecture: "qwen35",
      instead: { rope_theta: rope.rope_theta, rope_parameters: undefined },
      keys: {
        "rope.dimension_count":
          Number(rope.partial_rotary_factor ?? config.partial_rotary_factor ?? 0.25) *
          number(config, "head_dim"),
        "attention.recurrent_layers": layerTypes(config).map((type) => type !== "full_attention"),
        "ssm.conv_kernel": number(config, "linear_conv_kernel_dim"),
        "ssm.state_size": dim,
        "ssm.group_count": number(config, "linear_num_key_heads"),
        "ssm.time_step_rank": heads,
        "ssm.inner_size": heads * dim,
      },
    };
  },
};

/** Throws as configMetadata. */
export function shapeMetadata(file: ShapeConfig): HubMetadata {
  const config = decoderConfig(file) as ShapeConfig;
  const type = String(config.model_type);
  const own = Object.hasOwn(OWN, type) ? OWN[type]!(config) : undefined;
  if (!own) return configMetadata(file);
  const usual = { ...config, ...own.instead, model_type: "qwen3", text_config: undefined };
  // What a family shares with the others has the same keys.
  const { metadata } = configMetadata({ ...usual, partial_rotary_factor: undefined });
  const shared = [...metadata].map(
    ([key, value]) => [key.replace(/^qwen3/, own.architecture), value] as const,
  );
  const keys = Object.entries(own.keys).map(
    ([key, value]) => [`${own.architecture}.${key}`, value] as const,
  );
  return {
    architecture: own.architecture,
    metadata: new Map([...shared, ...keys]),
    ropeFactors: own.ropeFactors ?? {},
  };
}

function number(config: ShapeConfig, field: string): number {
  const value = config[field];
  if (typeof value === "number") return value;
  throw badConfig(field, value === undefined ? "is missing" : `is ${JSON.stringify(value)}`);
}

/** LFM2's files have the width of an MLP without gates. */
function lfm2Width(config: ShapeConfig): number {
  const width = Number(config.block_ff_dim ?? config.intermediate_size);
  if (config.block_auto_adjust_ff_dim === false) return width;
  const gated = Math.floor((2 * width) / 3) * Number(config.block_ffn_dim_multiplier ?? 1);
  const multiple = Number(config.block_multiple_of ?? 256);
  return multiple * Math.ceil(Math.floor(gated) / multiple);
}
