/** How a family writes a thought in front of its answer. */
export interface ThoughtMarkers {
  readonly open: string;
  readonly close: string;
  /** The control tokens in them, if they are not the whole. */
  readonly controls?: readonly string[];
}

/** The first row that a model's template spells is the model's. */
const THOUGHT_MARKERS: readonly ThoughtMarkers[] = [
  // Qwen3, SmolLM3, DeepSeek-R1, LFM2.5 and most others.
  { open: "<think>", close: "</think>" },
  // Gemma 4.
  { open: "<|channel>thought", close: "<channel|>", controls: ["<|channel>", "<channel|>"] },
  // Magistral and Ministral.
  { open: "[THINK]", close: "[/THINK]" },
  // Seed-OSS.
  { open: "<seed:think>", close: "</seed:think>" },
  // Command A Reasoning.
  { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
  // EXAONE Deep.
  { open: "<thought>", close: "</thought>" },
];

/** The markers that a template spells; undefined: the model does not think. */
export const thoughtMarkers = (template: string): ThoughtMarkers | undefined =>
  THOUGHT_MARKERS.find(({ open, close }) => template.includes(open) || template.includes(close));
