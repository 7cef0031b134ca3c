/** Which of a model's layers hold keys and values, and which keep a state in their place. */
import type { FoundStates, StateLayer } from "./states/state-kind.ts";

/** One layer of the model: which one of its kind it is. */
export interface Block {
  /** `attention` layers are those of the cache; a `state` layer has a state of fixed size. */
  readonly kind: "attention" | "state";
  readonly index: number;
  /** Its keys and values are those of an earlier layer of the same index, where this is so. */
  readonly borrows?: boolean;
  /** Layers behind it attend to its keys and values, or to those that it borrows. */
  readonly lends?: boolean;
}

/** Where among all layers the index-th of its kind is. */
export const blockOf = (
  { blocks }: Pick<Blocks, "blocks">,
  kind: Block["kind"],
  index: number,
): number => blocks.findIndex((block) => block.kind === kind && block.index === index);

interface Blocks {
  /** Every layer, in order. */
  readonly blocks: readonly Block[];
  readonly states: readonly StateLayer[];
}

/** The layers in order, of which some keep a state where the family has such. */
export function blocksOf(layers: number, found?: FoundStates): Pick<Blocks, "blocks" | "states"> {
  const next = { attention: 0, state: 0 };
  const blocks = Array.from({ length: layers }, (_, layer): Block => {
    const kind = found?.keeps[layer] ? "state" : "attention";
    next[kind] += 1;
    return { kind, index: next[kind] - 1 };
  });
  return { blocks, states: new Array<StateLayer>(next.state).fill(found?.layer as StateLayer) };
}
