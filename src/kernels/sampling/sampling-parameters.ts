/** How the next token is drawn. Left out = off. Order: see `createSample` of sample.ts. */
export interface SamplingParameters {
  /** 0 = greedy. */
  temperature: number;
  /** Most likely tokens kept; 0 = all. */
  topK?: number;
  /** Probability kept; 1 = all, 0 = the likeliest token alone, as temperature 0. */
  topP?: number;
  /** Least probability, relative to the most likely token's; 0 = off. */
  minP?: number;
  /** Hugging Face's: logits of tokens seen (prompt or answer) are divided by it if positive, else multiplied. */
  repetitionPenalty?: number;
  /** OpenAI's: subtracted once for each time the token is in the answer. */
  frequencyPenalty?: number;
  /** OpenAI's: subtracted if the token is in the answer. */
  presencePenalty?: number;
  /** Integer, 0 to 2^53 - 1. */
  seed?: number;
  /** Row of the logits to draw from. Default 0. */
  logitsRow?: number;
  /** Row of the batch that receives the token. Default 0. */
  row?: number;
}

/** What is left out. */
export const SAMPLING_OFF = {
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 0,
} as const satisfies Partial<SamplingParameters>;
