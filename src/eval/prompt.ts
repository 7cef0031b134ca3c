import { commonPrefix } from "../engine/chat/prefix.ts";
import { invalidArgument } from "../errors.ts";
import { seededRandom, seedOf } from "../random.ts";
import type { ChatTemplate, Tokenizer } from "../text/types.ts";
import type { Haystack } from "./tasks/haystack.ts";
import { generatorOf } from "./tasks/index.ts";
import type { Problem } from "./tasks/problem.ts";
import type { PromptCell } from "./types.ts";

/** A problem as token ids. */
export interface Prompt {
  readonly problem: Problem;
  /** Parts that are run one after another, the cache being compressed after each. */
  readonly parts: readonly (readonly number[])[];
  readonly tokens: number;
}

export interface PromptText {
  readonly tokenizer: Tokenizer;
  /** Undefined for a model without one: the prompt is then plain text. */
  readonly template: ChatTemplate | undefined;
}

/**
 * The problem's prompt in the model's chat template, the answer's beginning included. Plain text begins with the
 * model's first token where it has one; a template brings its own.
 */
export function promptTokens({ tokenizer, template }: PromptText, problem: Problem): number[] {
  const { intro, context, question, prefix } = problem;
  const content = `${intro}\n\n${context}\n\n${question}`;
  if (!template) return [...tokenizer.prefix, ...tokenizer.encode(`${content}\n${prefix}`)];
  const chat = template.encode([{ role: "user", content }], tokenizer, {
    addGenerationPrompt: true,
  });
  return [...chat, ...tokenizer.encode(prefix)];
}

/** How much of the prompt comes before the question: what is compressed before it is known. */
function contextTokens(
  { tokenizer, template }: PromptText,
  { intro, context }: Problem,
  prompt: readonly number[],
): number {
  const content = `${intro}\n\n${context}`;
  const alone = template
    ? template.encode([{ role: "user", content }], tokenizer)
    : [...tokenizer.prefix, ...tokenizer.encode(content)];
  return commonPrefix(prompt, alone);
}

/**
 * The largest problem of a cell whose prompt has at most `length` tokens, the same for every policy and
 * budget. Throws invalid_argument where not even the smallest one fits.
 */
export function buildPrompt(text: PromptText, cell: PromptCell, hay: Haystack): Prompt {
  const { task, length, depth, trial, seed, ask } = cell;
  const generator = generatorOf(cell, hay);
  const problemSeed = seedOf(`${seed} ${task} ${length} ${depth ?? ""} ${trial} ${hay.id}`);
  const make = (size: number): { problem: Problem; tokens: number[] } => {
    const problem = generator.make(seededRandom(problemSeed), size);
    return { problem, tokens: promptTokens(text, problem) };
  };
  let low = generator.least;
  let best = make(low);
  if (best.tokens.length > length)
    throw invalidArgument(
      "--lengths",
      `${length} tokens are too few for ${task}: its smallest prompt has ${best.tokens.length}`,
    );
  let high = low * 2;
  for (let next = make(high); next.tokens.length <= length; next = make(high)) {
    [low, best] = [high, next];
    high *= 2;
  }
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const next = make(middle);
    if (next.tokens.length <= length) [low, best] = [middle, next];
    else high = middle;
  }
  const { problem, tokens } = best;
  const cut = ask === "after" ? contextTokens(text, problem, tokens) : 0;
  const parts = cut > 0 ? [tokens.slice(0, cut), tokens.slice(cut)] : [tokens];
  return { problem, parts, tokens: tokens.length };
}
