import { throwIfAborted } from "../../src/errors.ts";
import type { Piece } from "./model-source.ts";

/** A model that can write. */
export interface Writer {
  /** Token ids of a prompt as the model reads it: a chat's first turn where it has a template. */
  prompt(text: string): number[];
  /** Continues `prompt` at temperature 1 by at most `limit` tokens, fewer where the answer ends. */
  write(
    prompt: readonly number[],
    limit: number,
    seed: number,
    signal?: AbortSignal,
  ): AsyncIterable<number>;
  decode(tokens: readonly number[]): string;
}

/** Ours: different kinds of text, so that heads see prose, talk, lists, numbers and code. */
const PROMPTS: readonly string[] = [
  "Tell a long story about a lighthouse keeper who finds a letter.",
  "Explain how bread is made, step by step, and why each step matters.",
  "Write a dialogue between two friends who plan a journey by train.",
  "Describe the history of your favourite city in detail.",
  "Write a small program that counts the words of a text, and explain every line.",
  "List twenty facts about the sea, with numbers.",
  "Write a letter to a newspaper about the noise at night.",
  "Explain what a prime number is and show some proofs.",
  "Compare winter and summer in the mountains.",
  "Write the minutes of a meeting about a new school.",
  "Describe a painting to somebody who cannot see it.",
  "Give advice to a person who starts a new job.",
];

/** Tokens of one answer: long enough for a thought, short enough for variety. */
const ANSWER_TOKENS = 384;

/**
 * At least `tokens` tokens that the model writes itself, at temperature 1, from prompts of ours, joined to
 * sequences of at most `length`. Works offline, for any model, and needs nobody else's text. The same
 * seed gives the same text on the same adapter.
 */
export async function ownText(
  writer: Writer,
  { tokens, length, seed }: { tokens: number; length: number; seed: number },
  onProgress: (done: number, total: number) => void = () => {},
  signal?: AbortSignal,
): Promise<Piece[]> {
  const all: number[] = [];
  for (let turn = 0; all.length < tokens; turn++) {
    const prompt = writer.prompt(PROMPTS[turn % PROMPTS.length]!);
    const limit = Math.min(ANSWER_TOKENS, tokens - all.length);
    all.push(...prompt);
    for await (const token of writer.write(prompt, limit, seed * 1009 + turn, signal)) {
      throwIfAborted(signal);
      all.push(token);
      onProgress(Math.min(all.length, tokens), tokens);
    }
  }
  const pieces: Piece[] = [];
  for (let start = 0; start < tokens; start += length) {
    const part = all.slice(start, Math.min(start + length, tokens));
    pieces.push({ text: writer.decode(part), tokens: part });
  }
  return pieces;
}
