import { POLICY_NAMES } from "../cache/policies/index.ts";
import { type EvalOptions, TASKS } from "./types.ts";

const common = {
  lengths: [1024],
  depths: [0, 0.25, 0.5, 0.75, 1],
  asks: ["in", "after"],
  tokens: 1280,
  passages: 4,
  bin: 1024,
  trials: 10,
  seed: 1,
  kv: "f16",
  lanes: 16,
} as const;

/** What --preset sets; each flag changes one of them. */
export const PRESETS = {
  /** Minutes on a software adapter: does the harness work here, and roughly how well? */
  quick: {
    ...common,
    tasks: ["ppl", "mass", "needle"],
    policies: ["full", "winnow", "q-filters", "streaming-llm", "random"],
    budgets: [64],
    ratios: [4],
    lengths: [384],
    depths: [0.5],
    asks: ["in"],
    tokens: 192,
    passages: 1,
    trials: 1,
    lanes: 8,
  },
  /** Policies against each other: losses, agreement, retained attention and needles. */
  policies: {
    ...common,
    tasks: ["ppl", "agreement", "mass", "needle"],
    policies: POLICY_NAMES,
    budgets: [64, 128, 256, 512],
    ratios: [4],
    trials: 4,
  },
  /** Perplexity by position of long texts. */
  stream: {
    ...common,
    tasks: ["stream"],
    policies: ["full", "winnow", "q-filters", "streaming-llm"],
    budgets: [128, 256, 512],
    ratios: [4],
    tokens: 6144,
    passages: 3,
  },
  /** Everything, as in the papers. */
  full: {
    ...common,
    tasks: TASKS,
    policies: POLICY_NAMES,
    budgets: [64, 128, 256, 512, 1024],
    ratios: [2, 4, 8, 16, 32],
    lengths: [512, 1024, 2048],
  },
} as const satisfies Record<string, EvalOptions>;

export type PresetName = keyof typeof PRESETS;
