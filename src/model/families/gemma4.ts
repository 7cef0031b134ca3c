import { type Gguf, getNumber, getNumberArray } from "../../formats/gguf/gguf.ts";
import { bad, checkEntries, unlike } from "../config-fields.ts";
import { gemma4Blocks } from "../per-layer/borrowed.ts";
import { extraBytes, TABLE, tensorsOf } from "../per-layer/tensors.ts";
import { type Architecture, type Layerwise, PLAIN } from "./family.ts";
import { readSliding } from "./sliding.ts";

const key = (name: string) => `gemma4.${name}`;

/** A whole number of the file. Throws bad_model_file. */
function whole(gguf: Gguf, name: string, least: number, most: number, fallback?: number): number {
  const value = getNumber(gguf, key(name), fallback);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw bad(key(name), `must be a whole number from ${least} to ${most}, found ${value}`);
}

/** The width of each layer's MLP: one for all, or one each. */
function readMlps(gguf: Gguf, count: number): number[] {
  const field = key("feed_forward_length");
  const listed = typeof gguf.metadata.get(field) === "object";
  const mlps = listed
    ? Array.from(getNumberArray(gguf, field))
    : new Array<number>(count).fill(getNumber(gguf, field));
  checkEntries(field, mlps, count);
  const wrong = mlps.find((mlp) => !(Number.isInteger(mlp) && mlp >= 1 && mlp <= 1 << 20));
  if (wrong === undefined) return mlps;
  throw bad(field, `must be a whole number from 1 to ${1 << 20}, found ${wrong}`);
}

/** Heads of layers with a window may be smaller than D, and as many of their dimensions are turned. */
function readSizes(gguf: Gguf): { global: number; local: number } {
  const global = whole(gguf, "attention.key_length", 1, 1024);
  const local = whole(gguf, "attention.key_length_swa", 2, global, global);
  for (const [name, size] of [
    ["attention.value_length", global],
    ["attention.value_length_swa", local],
    ["rope.dimension_count_swa", local],
  ] as const) {
    const found = getNumber(gguf, key(name), size);
    if (found !== size) throw unlike(key(name), [found], `is not the size of its keys, ${size}`);
  }
  if (local % 2 !== 0) throw bad(key("attention.key_length_swa"), `found ${local}`);
  return { global, local };
}

/**
 * Gemma 4 E2B and E4B, text: layers with a window have smaller heads and a RoPE of their own, the last layers attend to the keys
 * and values of earlier ones, and each layer takes a part of what a table in the file has for the token. Its norms multiply by w.
 */
export const gemma4: Architecture = {
  ...PLAIN,
  name: "gemma4",
  postNorms: true,
  activation: "gelu",
  caps: ["final_logit_softcapping"],
  extension: {
    table: TABLE,
    readMlp: (gguf) => Math.max(...readMlps(gguf, whole(gguf, "block_count", 1, 1024))),
    extraBytes,
    tensors: tensorsOf,
  },
  readOwn: (gguf, { hidden }) => {
    const count = whole(gguf, "block_count", 1, 1024);
    const sliding = readSliding(gguf, "gemma4", count, { pattern: 5, ropeBase: 10_000 });
    const shared = whole(gguf, "attention.shared_kv_layers", 0, count - 1, 0);
    const { blocks, lender } = gemma4Blocks(sliding.windows, shared);
    const { global, local } = readSizes(gguf);
    const inputs = key("embedding_length_per_layer_input");
    const inputSize = getNumber(gguf, inputs, 0);
    if (!Number.isInteger(inputSize) || inputSize < 0 || inputSize > 1 << 16)
      throw bad(inputs, `found ${inputSize}`);
    if (inputSize === 0 || inputSize % 4 !== 0)
      throw unlike(
        inputs,
        [inputSize],
        "Winnow takes Gemma 4 with per-layer embeddings (E2B, E4B)",
      );
    // Its files do not say that it is 1.
    if (gguf.metadata.has(key("attention.scale")))
      throw unlike(key("attention.scale"), [], "Gemma 4 has none");
    const cap = getNumber(gguf, key("final_logit_softcapping"), 0);
    if (!(cap >= 0 && Number.isFinite(cap)))
      throw bad(key("final_logit_softcapping"), `found ${cap}`);
    const layerwise: Layerwise = {
      headSizes: sliding.windows.map((window) => (window > 0 ? local : global)),
      mlps: readMlps(gguf, count),
      inputSize,
      logitCap: cap > 0 ? cap : undefined,
    };
    return {
      blocks,
      layers: count - shared,
      windows: sliding.windows.slice(0, count - shared),
      localRopeBase: sliding.localRopeBase,
      localRopeDims: local,
      ...(lender !== undefined && { lender }),
      embeddingScale: Math.sqrt(hidden),
      layerwise,
    };
  },
  caution:
    "Gemma 4 normalises its keys (QK-norm), and few of its layers keep more than a window: the budget saves memory on those alone, and policies differ little.",
};
