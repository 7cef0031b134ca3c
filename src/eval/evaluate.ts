import { throwIfAborted } from "../errors.ts";
import { sha256Of } from "../fetch/sha256.ts";
import { type Batch, batchesOf, needsReference } from "./batches.ts";
import { probeSpeed, type Speed, secondsOf, tokensOf, totalText } from "./cost.ts";
import { cellKey, type Provenance } from "./kept.ts";
import type { EvalModel, Progress } from "./model.ts";
import { planCells, type Tokenised } from "./plan.ts";
import { buildPrompt, type Prompt } from "./prompt.ts";
import { type Haystack, noise, textHaystack } from "./tasks/haystack.ts";
import { scoreOf } from "./tasks/problem.ts";
import {
  type Cell,
  cacheOf,
  type EvalOptions,
  type EvalText,
  type KeptCell,
  type PromptCell,
  type PromptScore,
  type Score,
  type TextCell,
} from "./types.ts";

export interface EvalHooks {
  /** Cells of earlier runs, by key. */
  readonly kept: ReadonlyMap<string, KeptCell>;
  /** Called with each cell as it is finished, and awaited. */
  readonly keep: (cell: KeptCell) => Promise<void>;
  /** A line for the reader: the plan. */
  readonly note: (line: string) => void;
  readonly report: (label: string, done: number, total: number) => void;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds. */
  readonly now?: () => number;
}

export interface Evaluated {
  readonly cells: readonly KeptCell[];
  /** Seconds per step, where something was run. */
  readonly speed: Speed | undefined;
  /** Cells that an earlier run had finished. */
  readonly resumed: number;
}

/**
 * Runs what is asked for and not kept yet. Throws invalid_argument before anything runs, and aborted, with
 * every finished cell kept.
 */
export async function evaluate(
  model: EvalModel,
  options: EvalOptions,
  texts: readonly EvalText[],
  provenance: Provenance,
  hooks: EvalHooks,
): Promise<Evaluated> {
  const { kept, keep, note, report, signal, now = () => performance.now() } = hooks;
  const hay = texts.length > 0 ? textHaystack(joined(texts), await sha256Of(joined(texts))) : noise;
  const tokenised = texts.map(
    (text): Tokenised => ({
      ...text,
      tokens: model.tokenizer.encode(text.text),
    }),
  );
  const cells = planCells(options, tokenised, hay.id, {
    bos: model.tokenizer.prefix.length > 0,
    trained: model.contextLength,
  });
  const keyed = await Promise.all(
    cells.map(async (cell) => ({ cell, key: await cellKey(cell, provenance) })),
  );
  const missing = keyed.filter(({ key }) => !kept.has(key));
  const batches = batchesOf(
    missing.map(({ cell }) => cell),
    options.lanes,
  );
  const prompts = new Prompts(model, hay);
  // Built before anything runs: a length that is too short is found now.
  for (const batch of batches)
    if (batch.kind === "prompt") for (const cell of batch.cells) prompts.of(cell);

  const results = new Map(kept);
  let speed: Speed | undefined;
  note(`plan: ${planText(cells)}; ${cells.length - missing.length} of ${cells.length} cells kept`);
  if (batches.length > 0) {
    speed = await probeSpeed(
      model,
      options.lanes,
      options.tasks.includes("agreement"),
      now,
      signal,
    );
    const seconds = batches.reduce((sum, batch) => sum + secondsOf(batch, speed!), 0);
    note(
      `plan: ${missing.length} cells in ${batches.length} batches of up to ${options.lanes} sequences, ` +
        `about ${totalText(seconds)} here (a step ${speed.step.toFixed(3)} s, ${(speed.step + speed.lane * (options.lanes - 1)).toFixed(3)} s with ${options.lanes} sequences; ` +
        `${(1 / speed.prefill).toFixed(1)} prompt tokens/s)`,
    );
  }
  const keyOf = new Map(keyed.map(({ cell, key }) => [cell, key]));
  const total = batches.reduce((sum, batch) => sum + tokensOf(batch), 0);
  let before = 0;
  for (const batch of batches) {
    throwIfAborted(signal);
    const start = now();
    const label = batchLabel(batch);
    report(label, before, total);
    const scores = await runBatch(model, batch, prompts, tokenised, {
      signal,
      onTokens: (tokens) => report(label, Math.min(total, before + tokens), total),
    });
    const seconds = (now() - start) / 1000 / batch.cells.length;
    for (const [i, cell] of batch.cells.entries()) {
      const finished = { key: keyOf.get(cell)!, cell, score: scores[i]!, seconds };
      results.set(finished.key, finished);
      await keep(finished);
    }
    before += tokensOf(batch);
  }
  if (total > 0) report("evaluated", total, total);
  return {
    cells: keyed.map(({ key }) => results.get(key)!),
    speed,
    resumed: cells.length - missing.length,
  };
}

/** Problems by everything but the arm: all arms get the same one. */
class Prompts {
  private readonly model: EvalModel;
  private readonly hay: Haystack;
  private readonly built = new Map<string, Prompt>();

  constructor(model: EvalModel, hay: Haystack) {
    this.model = model;
    this.hay = hay;
  }

  of(cell: PromptCell): Prompt {
    const { arm: _, ...condition } = cell;
    const key = JSON.stringify(condition);
    const prompt = this.built.get(key) ?? buildPrompt(this.model, cell, this.hay);
    this.built.set(key, prompt);
    return prompt;
  }
}

async function runBatch(
  model: EvalModel,
  batch: Batch,
  prompts: Prompts,
  texts: readonly Tokenised[],
  progress: Progress,
): Promise<Score[]> {
  if (batch.kind === "prompt") return runPrompts(model, batch.cells, prompts, progress);
  const [{ agreement, mass = false }] = batch.cells as readonly [TextCell];
  const compared = { agreement, mass };
  const runs = batch.cells.map((cell) => ({
    tokens: passageOf(cell, model, texts),
    cache: cacheOf(cell.arm),
  }));
  if (!needsReference(batch)) return model.losses(runs, compared, progress);
  const reference = { tokens: runs[0]!.tokens, cache: { policy: "full" } as const };
  return (await model.losses([reference, ...runs], compared, progress)).slice(1);
}

function passageOf(
  { sha256, offset, tokens: count, bos }: TextCell,
  { tokenizer }: EvalModel,
  texts: readonly Tokenised[],
): number[] {
  const text = texts.find((one) => one.sha256 === sha256)!;
  const prefix = bos ? tokenizer.prefix : [];
  return [...prefix, ...text.tokens.slice(offset, offset + count)].slice(0, count);
}

async function runPrompts(
  model: EvalModel,
  cells: readonly PromptCell[],
  prompts: Prompts,
  progress: Progress,
): Promise<PromptScore[]> {
  const built = cells.map((cell) => prompts.of(cell));
  const runs = cells.map(({ arm }, i) => ({
    cache: cacheOf(arm),
    parts: built[i]!.parts,
    system: built[i]!.system,
    answerTokens: built[i]!.problem.answerTokens,
  }));
  const answers = await model.answers(runs, progress);
  return answers.map(({ text, bytes, pairs }, i) => {
    const { problem, tokens } = built[i]!;
    return {
      score: scoreOf(text, problem),
      answer: text,
      expected: problem.expected,
      promptTokens: tokens,
      bytes,
      pairs,
    };
  });
}

const joined = (texts: readonly EvalText[]): string => texts.map(({ text }) => text).join("\n\n");

function planText(cells: readonly Cell[]): string {
  const counts = new Map<string, number>();
  for (const cell of cells) {
    const name = taskOf(cell);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${name} ${count}`).join(", ");
}

/** Task's name of a cell, as in --tasks. */
export const taskOf = (cell: Cell): string =>
  cell.kind === "prompt"
    ? cell.task
    : ["ppl", cell.agreement && "agreement", cell.mass && "mass"].filter(Boolean).join(", ");

function batchLabel(batch: Batch): string {
  const [first] = batch.cells;
  if (batch.kind === "prompt") return taskOf(first!);
  const passages = [...new Set(batch.cells.map(({ passage }) => passage))];
  return `ppl passage ${passages.join(", ")}`;
}
