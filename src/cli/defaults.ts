import type { SamplingOptions } from "../engine/conversation.ts";

/** A command uses one conversation of a fresh engine. */
export const CONVERSATION = "default";

export const GREEDY: SamplingOptions = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 0,
};
