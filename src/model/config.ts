import { WinnowError } from "../errors.ts";
import { type Gguf, getNumber, getString } from "../formats/gguf.ts";
import { type Architecture, architectureNamed } from "./architectures.ts";

/** The numbers that shape a model; letters as in ARCHITECTURE.md. */
export interface ModelConfig {
  readonly architecture: Architecture;
  readonly name: string;
  /** L */
  readonly layers: number;
  /** H */
  readonly heads: number;
  /** G */
  readonly kvHeads: number;
  /** D */
  readonly headDim: number;
  /** E */
  readonly hidden: number;
  /** F */
  readonly mlp: number;
  /** V */
  readonly vocabulary: number;
  readonly contextLength: number;
  readonly normEpsilon: number;
  readonly ropeBase: number;
  /** The head is the embedding matrix. */
  readonly tiedHead: boolean;
}

const bad = (field: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `${field}: ${problem}`, {
    hint: "The file is damaged or was converted wrongly; download or convert it again.",
    details: { field },
  });

/** Reads and checks the configuration. Throws unsupported_model or bad_model_file, naming the field. */
export function readConfig(gguf: Gguf): ModelConfig {
  const architecture = architectureNamed(getString(gguf, "general.architecture"));
  const prefix = architecture.name;
  const whole = (key: string, highest: number, fallback?: number): number => {
    const value = getNumber(gguf, `${prefix}.${key}`, fallback);
    if (!Number.isInteger(value) || value < 1 || value > highest)
      throw bad(`${prefix}.${key}`, `must be a whole number from 1 to ${highest}, found ${value}`);
    return value;
  };
  const layers = whole("block_count", 1024);
  const heads = whole("attention.head_count", 1024);
  const kvHeads = whole("attention.head_count_kv", 1024, heads);
  const hidden = whole("embedding_length", 1 << 17);
  const headDim = whole("attention.key_length", 1024, Math.floor(hidden / heads));
  const mlp = whole("feed_forward_length", 1 << 20);
  const contextLength = whole("context_length", 1 << 24);
  const embedding = gguf.tensors.get("token_embd.weight");
  if (!embedding) throw bad("token_embd.weight", "the tensor is missing");
  const vocabulary = embedding.shape[1] ?? 0;
  if (heads % kvHeads !== 0)
    throw bad(`${prefix}.attention.head_count_kv`, `${kvHeads} does not divide ${heads} heads`);
  if (headDim % 8 !== 0 || headDim > 256) {
    throw new WinnowError(
      "unsupported_model",
      `head dimension ${headDim}: Winnow takes multiples of 8 up to 256`,
      {
        details: { field: `${prefix}.attention.key_length`, value: headDim },
      },
    );
  }
  const rotated = whole("rope.dimension_count", 1024, headDim);
  const scaling = gguf.metadata.get(`${prefix}.rope.scaling.type`) ?? "none";
  if (rotated !== headDim || scaling !== "none") {
    throw new WinnowError(
      "unsupported_model",
      `RoPE over ${rotated} of ${headDim} dimensions with scaling "${String(scaling)}"`,
      {
        hint: "Winnow takes plain RoPE over the whole head.",
        details: { field: `${prefix}.rope` },
      },
    );
  }
  const normEpsilon = getNumber(gguf, `${prefix}.attention.layer_norm_rms_epsilon`);
  const ropeBase = getNumber(gguf, `${prefix}.rope.freq_base`, 10000);
  if (!(normEpsilon > 0 && normEpsilon < 1))
    throw bad(`${prefix}.attention.layer_norm_rms_epsilon`, `found ${normEpsilon}`);
  if (!(ropeBase > 1 && Number.isFinite(ropeBase)))
    throw bad(`${prefix}.rope.freq_base`, `found ${ropeBase}`);
  return {
    architecture,
    name: getString(gguf, "general.name", prefix),
    layers,
    heads,
    kvHeads,
    headDim,
    hidden,
    mlp,
    vocabulary,
    contextLength,
    normEpsilon,
    ropeBase,
    tiedHead: !gguf.tensors.has("output.weight"),
  };
}

/** Bytes of one token's keys and values over all layers, uncompressed in f16. */
export const kvBytesPerToken = ({ layers, kvHeads, headDim }: ModelConfig): number =>
  layers * kvHeads * headDim * 2 * 2;
