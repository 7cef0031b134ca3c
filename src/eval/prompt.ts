import { commonPrefix } from "../engine/chat/prefix.ts";
import { systemTokens } from "../engine/chat/system-prompt.ts";
import { invalidArgument } from "../errors.ts";
import { seededRandom, seedOf } from "../random.ts";
import type { ChatMessage, ChatTemplate, Tokenizer } from "../text/types.ts";
import type { Haystack } from "./tasks/haystack.ts";
import { generatorOf, questionsOf } from "./tasks/index.ts";
import type { Problem } from "./tasks/problem.ts";
import type { PromptCell } from "./types.ts";

/** A problem as token ids. */
export interface Prompt {
  readonly problem: Problem;
  /** Parts that are run one after another, the cache being compressed after each. */
  readonly parts: readonly (readonly number[])[];
  readonly tokens: number;
  /** How many of the first tokens are the system message. */
  readonly system: number;
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
  const { prefix } = problem;
  const messages = messagesOf(problem);
  if (!template) {
    const text = messages.map(({ content }) => content).join("\n");
    return [...tokenizer.prefix, ...tokenizer.encode(`${text}\n${prefix}`)];
  }
  const chat = template.encode(messages, tokenizer, { addGenerationPrompt: true });
  return [...chat, ...tokenizer.encode(prefix)];
}

/** What was said before, and the question. */
function messagesOf({ history = [], intro, context, question }: Problem): ChatMessage[] {
  const content = [intro, context, question].filter((part) => part !== "").join("\n\n");
  return [...history, { role: "user", content }];
}

/** Where the messages of a chat begin within its prompt: what came before is compressed by then. */
function turnStarts(
  { tokenizer, template }: PromptText,
  history: readonly ChatMessage[],
  prompt: readonly number[],
): number[] {
  if (!template) return [];
  const ends = history.flatMap(({ role }, i) =>
    role === "assistant"
      ? [commonPrefix(prompt, template.encode(history.slice(0, i + 1), tokenizer))]
      : [],
  );
  return ends.filter((end, i) => end > (ends[i - 1] ?? 0));
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
  const questions = questionsOf(task);
  const read = Math.floor(trial / questions);
  const problemSeed = seedOf(`${seed} ${task} ${length} ${depth ?? ""} ${read} ${hay.id}`);
  const make = (size: number, question: number): Problem =>
    generator.make(seededRandom(problemSeed), size, question);
  // Whatever is asked, the same is read: the longest question decides.
  const longest = (size: number): number =>
    Math.max(
      ...Array.from({ length: questions }, (_, i) => promptTokens(text, make(size, i)).length),
    );
  let low = generator.least;
  const least = longest(low);
  if (least > length)
    throw invalidArgument(
      "--lengths",
      `${length} tokens are too few for ${task}: its smallest prompt has ${least}`,
    );
  let high = low * 2;
  while (longest(high) <= length) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (longest(middle) <= length) low = middle;
    else high = middle;
  }
  const problem = make(low, trial % questions);
  const tokens = promptTokens(text, problem);
  const { history = [] } = problem;
  const cuts = turnStarts(text, history, tokens);
  if (history.length === 0 && ask === "after") cuts.push(contextTokens(text, problem, tokens));
  const starts = [0, ...cuts.filter((cut) => cut > 0)];
  const parts = starts.map((start, i) => tokens.slice(start, starts[i + 1]));
  const { tokenizer, template } = text;
  const system = template ? systemTokens({ tokenizer, template }, messagesOf(problem), tokens) : 0;
  return { problem, parts, tokens: tokens.length, system };
}
