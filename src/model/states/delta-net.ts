import { type Gguf, getBooleanArray, getNumber } from "../../formats/gguf/gguf.ts";
import {
  createDeltaPrompt,
  createDeltaStep,
  type DeltaShape,
  deltaChannels,
  deltaScratchBytes,
  deltaWidth,
  deltaWords,
} from "../../kernels/states/delta-net.ts";
import { CHUNK_ROWS } from "../buffers.ts";
import { bad, checkEntries, sameForAll, unlike } from "../config-fields.ts";
import type { Vector } from "../vector.ts";
import type { FoundStates, StateKind, StateLayer } from "./state-kind.ts";
import { newestFirst } from "./taps.ts";

/** The sizes of DeltaShape, and the layer's. */
type DeltaLayer = StateLayer & Omit<DeltaShape, "epsilon">;

/** Layers of gated DeltaNet: those between every so-many-th (Qwen3.5), or as the file says of each. */
export const deltaNet: StateKind = {
  read(gguf, family, count, heads): FoundStates {
    const key = (name: string) => `${family}.${name}`;
    // The last blocks guess tokens ahead.
    const ahead = getNumber(gguf, key("nextn_predict_layers"), 0);
    if (!Number.isInteger(ahead) || ahead < 0 || ahead >= count)
      throw bad(key("nextn_predict_layers"), `found ${ahead} for ${count} layers`);
    const keeps = whichKeep(gguf, family, count).slice(0, count - ahead);
    if (!keeps.includes(false))
      throw unlike(key("full_attention_interval"), [], "no layer has keys and values");
    const kvHeads = sameForAll(gguf, key("attention.head_count_kv"), heads);
    if (!Number.isInteger(kvHeads) || kvHeads < 1 || kvHeads > 1024)
      throw bad(key("attention.head_count_kv"), `found ${kvHeads}`);
    const sizes = readSizes(gguf, family);
    const { dim, valueHeads } = sizes;
    const layer: DeltaLayer = {
      ...sizes,
      words: deltaWords(sizes),
      projected: deltaWidth(sizes),
      mixed: valueHeads * dim,
      scratchBytes: Object.values(deltaScratchBytes(sizes, CHUNK_ROWS)).reduce((a, b) => a + b),
    };
    return { kvHeads, keeps, layer };
  },

  tensors(reader, at, layer, hidden) {
    const { dim, valueHeads, taps, ...rest } = layer as DeltaLayer;
    const channels = deltaChannels({ dim, valueHeads, taps, ...rest });
    const [rate, bias] = [
      reader.vector(at("ssm_a").replace(/\.weight$/, ""), valueHeads),
      reader.vector(at("ssm_dt", "bias"), valueHeads),
    ];
    return {
      qkv: [
        reader.matrix(at("attn_qkv"), channels, hidden),
        reader.matrix(at("attn_gate"), valueHeads * dim, hidden),
        reader.matrix(at("ssm_beta"), valueHeads, hidden),
        reader.matrix(at("ssm_alpha"), valueHeads, hidden),
      ],
      state: {
        taps: newestFirst(reader.vector(at("ssm_conv1d"), taps, channels), taps),
        rates: inTurns(rate, bias),
        gains: reader.vector(at("ssm_norm"), dim),
      },
      output: reader.matrix(at("ssm_out"), hidden, valueHeads * dim),
    };
  },

  async compile(gpu, { normEpsilon: epsilon }, layer, rowsAre, stage) {
    const shape = { ...(layer as DeltaLayer), epsilon };
    type Weights = Record<"taps" | "rates" | "gains", GPUBuffer>;
    if (rowsAre !== "serial") {
      const step = await createDeltaStep(gpu, shape, rowsAre, stage);
      return (buffers, weights) => step({ ...buffers, ...(weights as Weights) });
    }
    const prompt = await createDeltaPrompt(gpu, shape, stage);
    const bytes = deltaScratchBytes(shape, CHUNK_ROWS);
    const storage = (name: keyof typeof bytes): GPUBuffer =>
      gpu.ledger.storage("activations", `state ${name}`, bytes[name]);
    const scratch = {
      mixed: storage("mixed"),
      gates: storage("gates"),
      within: storage("within"),
    };
    return (buffers, weights) => prompt({ ...buffers, ...(weights as Weights), ...scratch });
  },
};

function whichKeep(gguf: Gguf, family: string, count: number): boolean[] {
  const key = `${family}.attention.recurrent_layers`;
  if (gguf.metadata.has(key)) {
    const flags = getBooleanArray(gguf, key);
    checkEntries(key, flags, count);
    return Array.from(flags);
  }
  const interval = getNumber(gguf, `${family}.full_attention_interval`, 4);
  if (!Number.isInteger(interval) || interval < 1)
    throw bad(`${family}.full_attention_interval`, `found ${interval}`);
  return Array.from({ length: count }, (_, layer) => (layer + 1) % interval !== 0);
}

function readSizes(gguf: Gguf, family: string): Omit<DeltaShape, "epsilon"> {
  const whole = (name: string, most: number): number => {
    const key = `${family}.ssm.${name}`;
    const value = getNumber(gguf, key);
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw bad(key, `must be a whole number from 1 to ${most}, found ${value}`);
  };
  const dim = whole("state_size", 1 << 16);
  const keyHeads = whole("group_count", 1024);
  const valueHeads = whole("time_step_rank", 1024);
  const taps = whole("conv_kernel", 64);
  const inner = whole("inner_size", 1 << 20);
  if (inner !== valueHeads * dim)
    throw bad(`${family}.ssm.inner_size`, `is ${inner} where ${valueHeads} heads have ${dim}`);
  if (valueHeads % keyHeads !== 0)
    throw bad(`${family}.ssm.group_count`, `${keyHeads} does not divide ${valueHeads} heads`);
  if (taps < 2) throw bad(`${family}.ssm.conv_kernel`, `found ${taps}`);
  if (dim % 4 !== 0 || dim > 256)
    throw unlike(`${family}.ssm.state_size`, [dim], "Winnow takes multiples of 4 up to 256");
  if (valueHeads % 2 !== 0)
    throw unlike(`${family}.ssm.time_step_rank`, [valueHeads], "Winnow takes even numbers");
  return { dim, keyHeads, valueHeads, taps };
}

/** Of each head the number of one and that of the other. */
const inTurns = (a: Vector, b: Vector): Vector => ({
  length: 2 * a.length,
  async read() {
    const [first, second] = await Promise.all([a.read(), b.read()]);
    return Float32Array.from({ length: 2 * a.length }, (_, i) =>
      i % 2 === 0 ? first[i / 2]! : second[(i - 1) / 2]!,
    );
  },
});
