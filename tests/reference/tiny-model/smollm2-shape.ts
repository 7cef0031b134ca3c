import type { TinyShape } from "./tiny-model.ts";

/** The layers, heads and types of SmolLM2-135M's file, for models of random weights. */
export const SMOLLM2_SHAPE: TinyShape = {
  layers: 30,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  hidden: 576,
  mlp: 1536,
  tied: true,
  ropeBase: 100000,
  types: {
    embed: "Q8_0",
    q: "Q4_1",
    k: "Q4_1",
    v: "Q4_1",
    o: "Q4_1",
    gate: "Q4_1",
    up: "Q4_1",
    down: "Q4_1",
    head: "Q8_0",
  },
};
