import { type Batch, needsReference, readAlike } from "./batches.ts";
import type { EvalModel } from "./model.ts";

/** Seconds, measured just before. */
export interface Speed {
  /** A step of one sequence, and what each further one adds. */
  readonly step: number;
  readonly lane: number;
  /** A prompt token. */
  readonly prefill: number;
}

const PROBE_STEPS = 4;
const PROBE_PROMPT = 128;

/** Answers end early more often than not: the part of their most tokens that is counted on. */
const ANSWERED = 0.6;

/** Sequences of a batch, the uncompressed one that must go along included. */
const sequencesOf = (batch: Batch & { kind: "text" }): number =>
  batch.cells.length + (needsReference(batch) ? 1 : 0);

/** Tokens that a batch runs, over all its sequences: what its progress is counted in. */
export function tokensOf(batch: Batch): number {
  if (batch.kind === "text") return sequencesOf(batch) * (batch.cells[0]!.tokens - 1);
  const { cells } = batch;
  const read = cells.filter((cell, i) => i === 0 || !readAlike(cell, cells[i - 1]!));
  return read.reduce((sum, { length }) => sum + length, 0);
}

/** What a batch will take. */
export function secondsOf(batch: Batch, { step, lane, prefill }: Speed): number {
  const stepOf = (lanes: number): number => step + lane * (lanes - 1);
  if (batch.kind === "text") return stepOf(sequencesOf(batch)) * (batch.cells[0]!.tokens - 1);
  const answered = ANSWERED * 30 * stepOf(batch.cells.length);
  return tokensOf(batch) * prefill + answered;
}

/** Times a few steps of one sequence and of `lanes`, and one prompt chunk. */
export async function probeSpeed(
  model: EvalModel,
  lanes: number,
  agreement: boolean,
  now: () => number,
  signal?: AbortSignal,
): Promise<Speed> {
  const most = Math.max(1, model.tokenizer.vocabSize - 1);
  const some = (count: number): number[] =>
    Array.from({ length: count }, (_, i) => (i * 37) % most);
  const losses = async (count: number): Promise<number> => {
    const run = { tokens: some(PROBE_STEPS + 1), cache: { policy: "full" } } as const;
    const start = now();
    const compared = { agreement, mass: false };
    await model.losses(new Array(count).fill(run), compared, { signal });
    return (now() - start) / 1000 / PROBE_STEPS;
  };
  const prompt = async (): Promise<number> => {
    const run = {
      cache: { policy: "full" },
      parts: [some(PROBE_PROMPT)],
      answerTokens: 0,
    } as const;
    const start = now();
    await model.answers([run], { signal });
    return (now() - start) / 1000 / PROBE_PROMPT;
  };
  // The first of each pays for compiling.
  await losses(1);
  await prompt();
  const one = await losses(1);
  const all = lanes > 1 ? await losses(lanes) : one;
  const lane = lanes > 1 ? Math.max(0, (all - one) / (lanes - 1)) : 0;
  return { step: one, lane, prefill: await prompt() };
}

/** A length of time in words. */
export function totalText(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
