import type { Constraint } from "../../constraint/constraint.ts";
import {
  SAMPLING_OFF,
  type SamplingParameters,
} from "../../kernels/sampling/sampling-parameters.ts";
import type { TokenScores } from "../../kernels/sampling/token-scores.ts";
import type { DrawWishes } from "../steps/draw-wishes.ts";

/** How tokens are drawn: every parameter of the kernel that a request decides. */
export type SamplingOptions = Required<Omit<SamplingParameters, "logitsRow" | "row">>;

/** The likeliest token each time, nothing else in play. */
export const GREEDY: SamplingOptions = { ...SAMPLING_OFF, temperature: 0 };

/**
 * lookup: what followed the last tokens when they came before is guessed to follow again, and checked in one step
 * of several tokens wherever that pays on the device; the answer is the same. off: never.
 */
export type Speculative = "off" | "lookup";

export interface GenerateOptions extends DrawWishes {
  sampling: SamplingOptions;
  maxTokens: number;
  signal?: AbortSignal;
  /** How many of the prompt's first tokens are the system prompt. Default 0. */
  system?: number;
  /**
   * Whether a token is run before it is known here, while the one before it is read back; default true.
   * False where an answer may end inside its text (a stop string): the cache then never holds a token that
   * the next prompt lacks.
   */
  ahead?: boolean;
  /** Default: the engine's. */
  speculative?: Speculative;
  /** What the answer must be like; it takes the answer's tokens, so it is of one answer. */
  constraint?: Constraint | undefined;
  /** With `topLogprobs`: what the model said of the token that is yielded next. */
  onScores?: (scores: TokenScores) => void;
  /** Prompt tokens run so far, and to run. */
  onPrefill?: (done: number, total: number) => void;
}

export interface GenerateResult {
  finish: "stop" | "length";
  /** Prompt tokens that were in the cache already. */
  cachedTokens: number;
  promptTokens: number;
}
