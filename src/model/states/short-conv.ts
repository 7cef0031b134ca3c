import { type Gguf, getNumber, getNumberArray } from "../../formats/gguf/gguf.ts";
import { createShortConv } from "../../kernels/states/short-conv.ts";
import { bad, checkEntries, sameForAll, unlike } from "../config-fields.ts";
import type { FoundStates, StateKind, StateLayer } from "./state-kind.ts";
import { newestFirst } from "./taps.ts";

interface ShortConvLayer extends StateLayer {
  /** K: how many rows the convolution sees, its own included. */
  readonly taps: number;
}

/** Most rows that a convolution may see. */
const MOST_TAPS = 64;

/** Layers whose number of kv heads is 0 are gated short convolutions (LFM2). */
export const shortConv: StateKind = {
  read(gguf, family, layers, heads, hidden): FoundStates {
    const key = `${family}.attention.head_count_kv`;
    const counts =
      typeof gguf.metadata.get(key) === "object"
        ? Array.from(getNumberArray(gguf, key))
        : new Array<number>(layers).fill(sameForAll(gguf, key, heads));
    checkEntries(key, counts, layers);
    const wrong = counts.find((count) => !(Number.isInteger(count) && count >= 0 && count <= 1024));
    if (wrong !== undefined)
      throw bad(key, `must be a whole number from 0 to 1024, found ${wrong}`);
    const [kvHeads, ...others] = new Set(counts.filter((count) => count !== 0));
    if (kvHeads === undefined) throw unlike(key, counts, "no layer has keys and values");
    if (others.length > 0) throw unlike(key, counts);
    const keeps = counts.map((count) => count === 0);
    const taps = keeps.includes(true) ? readTaps(gguf, family) : MOST_TAPS;
    const layer: ShortConvLayer = {
      taps,
      words: (taps - 1) * hidden,
      projected: 3 * hidden,
      mixed: hidden,
      scratchBytes: 0,
    };
    return { kvHeads, keeps, layer };
  },

  tensors(reader, at, layer, hidden) {
    const { taps } = layer as ShortConvLayer;
    return {
      qkv: [reader.matrix(at("shortconv.in_proj"), 3 * hidden, hidden)],
      state: { taps: newestFirst(reader.vector(at("shortconv.conv"), taps, hidden), taps) },
      output: reader.matrix(at("shortconv.out_proj"), hidden, hidden),
    };
  },

  async compile(gpu, { hidden: channels }, layer, rowsAre, stage) {
    const { taps } = layer as ShortConvLayer;
    const kernel = await createShortConv(gpu, { channels, taps }, rowsAre, stage);
    return (buffers, weights) => {
      const dispatch = kernel({ ...buffers, taps: weights.taps! });
      return (rows) => [dispatch(rows)];
    };
  },
};

function readTaps(gguf: Gguf, family: string): number {
  const key = `${family}.shortconv.l_cache`;
  const taps = getNumber(gguf, key);
  if (!Number.isInteger(taps) || taps < 2 || taps > MOST_TAPS)
    throw bad(key, `must be a whole number from 2 to ${MOST_TAPS}, found ${taps}`);
  return taps;
}
