/** What each layer of a config.json is, and models with fewer layers. */
import { invalidArgument } from "../../../errors.ts";
import { decoderConfig } from "../../../formats/checkpoint/hub-config.ts";
import type { ShapeConfig } from "./shapes.ts";

const ATTENDS = "full_attention";
/** Behind the kind of a layer that attends to the keys and values of another one. */
const BORROWS = ", borrowing";

/** The kind of each layer, by the name that `layer_types` has for it, and whether it borrows. Throws invalid_argument. */
export function layerTypes(config: ShapeConfig): string[] {
  const types = namedTypes(config);
  const own = types.length - borrowing(config);
  return types.map((type, layer) => (layer < own ? type : type + BORROWS));
}

/** How many of the last layers have no keys and values of their own. */
const borrowing = (config: ShapeConfig): number =>
  Number((decoderConfig(config) as ShapeConfig).num_kv_shared_layers ?? 0);

/** The kind of each layer, by the name that `layer_types` has for it. Throws invalid_argument. */
export function namedTypes(config: ShapeConfig): string[] {
  const text = decoderConfig(config) as ShapeConfig;
  const { layer_types: given, num_hidden_layers: count } = text;
  if (!(Number.isInteger(count) && (count as number) >= 1 && (count as number) <= 1024))
    throw invalidArgument("num_hidden_layers", `is ${JSON.stringify(count)} in config.json`);
  const every = (other: string, attends: (layer: number) => boolean): string[] =>
    Array.from({ length: count as number }, (_, layer) => (attends(layer) ? ATTENDS : other));
  if (Array.isArray(given)) {
    if (given.length === count) return given.map(String);
    throw invalidArgument("layer_types", `has ${given.length} entries for ${count} layers`);
  }
  const { full_attn_idxs: attending, full_attention_interval: interval = 4 } = text;
  const { sliding_window_pattern: pattern = 6 } = text;
  const type = String(text.model_type);
  if (Array.isArray(attending)) return every("conv", (layer) => attending.includes(layer));
  if (/^qwen3_5/.test(type))
    return every("linear_attention", (layer) => (layer + 1) % Number(interval) === 0);
  if (/^gemma[34]/.test(type))
    return every("sliding_attention", (layer) => (layer + 1) % Number(pattern) === 0);
  return every(ATTENDS, () => true);
}

/** The same model with so many layers: the first of each kind, then the others in order. Throws invalid_argument. */
export function withLayers(config: ShapeConfig, layers: number): ShapeConfig {
  const types = layerTypes(config);
  const kinds = new Set(types);
  if (layers < kinds.size || layers > types.length)
    throw invalidArgument(
      "--layers",
      `must be from ${kinds.size} to ${types.length}, not ${layers}: the model has ${types.length} layers` +
        (kinds.size > 1 ? ` of ${kinds.size} kinds, one of each of which must stay` : ""),
    );
  if (layers === types.length) return config;
  const order = [...types.keys()].sort(
    (a, b) => Number(isFirst(types, b)) - Number(isFirst(types, a)),
  );
  const kept = order.slice(0, layers).sort((a, b) => a - b);
  const named = namedTypes(config);
  const { full_attn_idxs: _, no_rope_layers: __, ...text } = decoderConfig(config) as ShapeConfig;
  return {
    ...text,
    text_config: undefined,
    num_hidden_layers: layers,
    layer_types: kept.map((layer) => named[layer]!),
    num_kv_shared_layers: kept.filter((layer) => types[layer]!.endsWith(BORROWS)).length,
  };
}

const isFirst = (types: readonly string[], layer: number): boolean =>
  types.indexOf(types[layer]!) === layer;
