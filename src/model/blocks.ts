/** Which of a model's layers hold keys and values, and which keep a state in their place. */
import { type Gguf, getNumber, getNumberArray } from "../formats/gguf/gguf.ts";
import { bad, checkEntries, sameForAll, unlike } from "./config-fields.ts";
import type { Architecture, StateKind } from "./families/family.ts";

/** One layer of the model: which one of its kind it is. */
export interface Block {
  /** `attention` layers are those of the cache; a `state` layer has a state of fixed size. */
  readonly kind: "attention" | "state";
  readonly index: number;
}

/** A layer that keeps a state in place of keys and values, by its kind. */
export interface StateLayer {
  readonly kind: StateKind;
  /** K: how many rows the convolution sees, its own included. */
  readonly taps: number;
}

/** f32 words of a layer's state. */
export const stateWords = ({ taps }: StateLayer, hidden: number): number => (taps - 1) * hidden;

/** Floats per row that a state layer's first product gives its kernel. */
export const projectedWidth = (_layer: StateLayer, hidden: number): number => 3 * hidden;

/** Where among all layers the index-th of its kind is. */
export const blockOf = (
  { blocks }: Pick<Blocks, "blocks">,
  kind: Block["kind"],
  index: number,
): number => blocks.findIndex((block) => block.kind === kind && block.index === index);

export interface Blocks {
  /** G of the attention layers. */
  readonly kvHeads: number;
  /** Every layer, in order. */
  readonly blocks: readonly Block[];
  readonly states: readonly StateLayer[];
}

/** Most rows that a convolution may see. */
const MOST_TAPS = 64;

/**
 * Families with state layers give them 0 kv heads; others have the same number in every layer.
 * @throws bad_model_file, unsupported_model, naming the field.
 */
export function readBlocks(
  gguf: Gguf,
  { name, stateLayers }: Architecture,
  layers: number,
  heads: number,
): Blocks {
  const key = `${name}.attention.head_count_kv`;
  const counts =
    stateLayers && typeof gguf.metadata.get(key) === "object"
      ? Array.from(getNumberArray(gguf, key))
      : new Array<number>(layers).fill(sameForAll(gguf, key, heads));
  checkEntries(key, counts, layers);
  const least = stateLayers ? 0 : 1;
  const wrong = counts.find(
    (count) => !(Number.isInteger(count) && count >= least && count <= 1024),
  );
  if (wrong !== undefined)
    throw bad(key, `must be a whole number from ${least} to 1024, found ${wrong}`);
  const [kvHeads, ...others] = new Set(counts.filter((count) => count !== 0));
  if (kvHeads === undefined) throw unlike(key, counts, "no layer has keys and values");
  if (others.length > 0) throw unlike(key, counts);
  const next = { attention: 0, state: 0 };
  const blocks = counts.map((count): Block => {
    const kind = count === 0 ? "state" : "attention";
    next[kind] += 1;
    return { kind, index: next[kind] - 1 };
  });
  const states =
    next.state > 0 ? new Array<StateLayer>(next.state).fill(readShortConv(gguf, name)) : [];
  return { kvHeads, blocks, states };
}

function readShortConv(gguf: Gguf, family: string): StateLayer {
  const key = `${family}.shortconv.l_cache`;
  const taps = getNumber(gguf, key);
  if (!Number.isInteger(taps) || taps < 2 || taps > MOST_TAPS)
    throw bad(key, `must be a whole number from 2 to ${MOST_TAPS}, found ${taps}`);
  return { kind: "short-conv", taps };
}
