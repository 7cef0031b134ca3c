import type { CacheOptions, Protected } from "../cache/cache-options.ts";
import type { PolicyName } from "../cache/policies/index.ts";
import { defined } from "../defined.ts";
import type { KvStorage } from "../kernels/pages/page-format.ts";

/** Tasks over running text: a passage, token by token. */
export const TEXT_TASKS = ["ppl", "stream", "agreement", "mass"] as const;
/** Retained attention is measured at every so many positions: prime, so that no phase of a policy's scorings is met more often. */
export const MASS_EVERY = 31;
/** Tasks as RULER defines them (arXiv 2404.06654). */
export const RULER_TASKS = [
  "niah-single",
  "niah-multikey",
  "niah-multivalue",
  "niah-multiquery",
  "variables",
  "common-words",
  "frequent-words",
  "qa",
] as const;
/** Chats whose last question needs the system message, or what the user has said and corrected. */
export const CHAT_TASKS = ["instructions", "corrections"] as const;
/** Tasks with a prompt, a question and an answer. `needle` is the grid of length and depth. */
export const PROMPT_TASKS = ["needle", ...RULER_TASKS, ...CHAT_TASKS] as const;

export type TextTask = (typeof TEXT_TASKS)[number];
export type PromptTask = (typeof PROMPT_TASKS)[number];
export type TaskName = TextTask | PromptTask;

/** A policy, one with a window of its own ("q-filters@32"), or one that reads prompts twice ("winnow+reread"). */
export type ArmName =
  | PolicyName
  | `${PolicyName}${"" | "+reread"}@${number}`
  | `${PolicyName}+reread`;

export const TASKS: readonly TaskName[] = [...TEXT_TASKS, ...PROMPT_TASKS];

/**
 * `in`: the question is part of the prompt that is compressed; `after`: it comes once the cache is compressed. A chat is
 * read message by message, so its question always comes after.
 */
export type Ask = "in" | "after";

/** The cache a cell runs under. */
export interface Arm {
  readonly policy: PolicyName;
  /** Pairs per kv head, or "full": the uncompressed ceiling. */
  readonly budget: number | "full";
  readonly window?: number;
  readonly sinks?: number;
  /** First layers that are not compressed. */
  readonly wholeLayers?: number;
  /** Left out: the system message. */
  readonly protect?: Protected;
  /** Long prompts are read twice. */
  readonly reread?: true;
  readonly kv: KvStorage;
}

export const cacheOf = ({
  policy,
  budget,
  window,
  sinks,
  wholeLayers,
  protect,
  reread,
}: Arm): CacheOptions => ({
  policy,
  budget,
  ...defined({ window, sinks, wholeLayers, protect, reread }),
});

/** An arm in words. */
export const armText = ({
  policy,
  budget,
  window,
  wholeLayers = 0,
  protect,
  reread,
  kv,
}: Arm): string =>
  [
    policy,
    reread ? " read twice" : "",
    budget === "full" ? "" : ` ${budget}`,
    window === undefined ? "" : `, window ${window}`,
    wholeLayers > 0 ? `, ${wholeLayers} layers whole` : "",
    protect === "none" ? ", nothing protected" : "",
    kv === "f16" ? "" : ` ${kv}`,
  ].join("");

/** The smallest thing that is run and kept: one passage under one arm. */
export interface TextCell {
  readonly kind: "text";
  /** Name and SHA-256 of the text's file. */
  readonly text: string;
  readonly sha256: string;
  readonly passage: number;
  /** Tokens [offset, offset + tokens) of the text, its last one giving way where the model's first token leads. */
  readonly offset: number;
  readonly tokens: number;
  /** The model's first token (bos) stands in front: models that ask for it predict badly without. */
  readonly bos?: true;
  /** Whether the next token's distribution is compared with the uncompressed one. */
  readonly agreement: boolean;
  /** Whether the attention that the cache retains is measured. */
  readonly mass?: true;
  readonly arm: Arm;
}

/** One trial of a task with a prompt under one arm. */
export interface PromptCell {
  readonly kind: "prompt";
  readonly task: PromptTask;
  /** Most tokens of the prompt, question and template included. */
  readonly length: number;
  /** Where the needle lies, 0 to 1; `needle` only. */
  readonly depth?: number;
  readonly ask: Ask;
  readonly trial: number;
  readonly seed: number;
  /** "noise", or the SHA-256 of the text that sentences come from. */
  readonly hay: string;
  readonly arm: Arm;
}

export type Cell = TextCell | PromptCell;

/** What a cache held when its cell ended. */
export interface CellMemory {
  readonly bytes: number;
  /** Mean pairs per kv head of the layers without a sliding window. */
  readonly pairs: number;
}

export interface TextScore extends CellMemory {
  /** -ln p of tokens 1, 2, ... of the passage. */
  readonly nll: readonly number[];
  /** KL(uncompressed || arm) of the next token's distribution after tokens 0, 1, ... */
  readonly kl?: readonly number[];
  /** 1 where the most likely next token is that of the uncompressed run. */
  readonly top1?: readonly number[];
  /** Share of the uncompressed run's attention that falls on what is kept, at positions `massPosition(0)`, ... */
  readonly mass?: readonly number[];
}

/** The position of the i-th measurement of retained attention. */
export const massPosition = (i: number): number => (i + 1) * MASS_EVERY - 1;

export interface PromptScore extends CellMemory {
  /** Share of the expected answers that were given; 0 or 1 where any one suffices. */
  readonly score: number;
  readonly answer: string;
  readonly expected: readonly string[];
  readonly promptTokens: number;
}

export type Score = TextScore | PromptScore;

/** A line of cells.jsonl. */
export interface KeptCell {
  /** Hash of the cell's whole definition, the model and the version. */
  readonly key: string;
  readonly cell: Cell;
  readonly score: Score;
  readonly seconds: number;
}

export interface EvalOptions {
  readonly tasks: readonly TaskName[];
  readonly policies: readonly ArmName[];
  /** Budgets of text tasks. */
  readonly budgets: readonly number[];
  /** Prompt tasks: the budget is length / ratio. */
  readonly ratios: readonly number[];
  readonly lengths: readonly number[];
  /** Depths of needles, 0 to 1. */
  readonly depths: readonly number[];
  readonly asks: readonly Ask[];
  /** Tokens of a passage. */
  readonly tokens: number;
  readonly passages: number;
  /** Positions of a bin of `stream`. */
  readonly bin: number;
  readonly trials: number;
  readonly seed: number;
  readonly window?: number;
  readonly sinks?: number;
  readonly wholeLayers?: number;
  readonly protect?: Protected;
  readonly kv: KvStorage;
  /** Losses count from this position on; default: the smallest budget, where eviction begins. */
  readonly from?: number;
  /** Sequences that step together. */
  readonly lanes: number;
}

export interface EvalText {
  readonly name: string;
  readonly sha256: string;
  readonly text: string;
}
