import { endless } from "../cache/budget.ts";
import type { CacheOptions } from "../cache/cache-options.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import type { Lane, Lanes } from "../engine/measuring/lanes.ts";
import { WinnowError } from "../errors.ts";
import { compareRows, highest } from "./agreement.ts";
import { canonical } from "./kept.ts";
import type { PromptText } from "./prompt.ts";
import { type CellMemory, massPosition, type TextScore } from "./types.ts";

export interface Progress {
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the tokens run so far, over all sequences. */
  readonly onTokens?: ((tokens: number) => void) | undefined;
}

export interface AnswerRun {
  readonly cache: CacheOptions;
  readonly parts: readonly (readonly number[])[];
  /** How many of the first tokens are the system message. Default 0. */
  readonly system?: number;
  readonly answerTokens: number;
}

/** A passage under one cache. */
export interface TextRun {
  readonly tokens: readonly number[];
  readonly cache: CacheOptions;
}

export interface Answer extends CellMemory {
  readonly text: string;
}

/** What is compared with the uncompressed run. */
export interface Compared {
  /** The next token's distribution. */
  readonly agreement: boolean;
  /** Its attention, with what is kept. */
  readonly mass: boolean;
}

/** What the evaluation asks of a model: the engine, or a fake one in tests. */
export interface EvalModel extends PromptText {
  readonly contextLength: number;
  /**
   * Runs each passage token by token under its cache, all together. Where something is compared, all are of one passage,
   * and compared with the first run, which must be uncompressed.
   */
  losses(runs: readonly TextRun[], compared: Compared, progress?: Progress): Promise<TextScore[]>;
  /** Reads each prompt under its cache, then answers greedily, all together. */
  answers(runs: readonly AnswerRun[], progress?: Progress): Promise<Answer[]>;
}

/** The engine as the evaluation sees it. */
export function engineModel(engine: InferenceEngine): EvalModel {
  const { tokenizer, contextLength } = engine;
  return {
    tokenizer,
    template: templateOf(engine),
    contextLength,
    losses: (runs, compared, progress = {}) =>
      engine.lanes(runs.length, (lanes) => measure(engine, lanes, runs, compared, progress)),
    answers: (runs, progress = {}) =>
      engine.lanes(runs.length, (lanes) => answer(engine, lanes, runs, progress)),
  };
}

function templateOf(engine: InferenceEngine): EvalModel["template"] {
  try {
    return engine.template;
  } catch (error) {
    if (error instanceof WinnowError && error.code === "unsupported_model") return undefined;
    throw error;
  }
}

/** Bytes and pairs of a lane. */
function memoryOf(engine: InferenceEngine, lanes: Lanes, lane: Lane): CellMemory {
  const { bytes, pairsKept } = lanes.usage(lane);
  const { layers, kvHeads } = engine.shape;
  return { bytes, pairs: pairsKept / (layers * kvHeads) };
}

async function measure(
  engine: InferenceEngine,
  lanes: Lanes,
  runs: readonly TextRun[],
  { agreement, mass }: Compared,
  { signal, onTokens }: Progress,
): Promise<TextScore[]> {
  const open = await Promise.all(runs.map(({ cache }) => lanes.add(cache)));
  const nll = runs.map((): number[] => []);
  const kl = runs.map((): number[] => []);
  const top1 = runs.map((): number[] => []);
  const masses = runs.map((): number[] => []);
  const count = Math.max(...runs.map(({ tokens }) => tokens.length)) - 1;
  let done = 0;
  if (mass) await lanes.prepareMass(count);
  for (let at = 0; at < count; at += 1) {
    const going = [...runs.keys()].filter((i) => at + 1 < runs[i]!.tokens.length);
    const inputs = going.map((i) => {
      const { tokens } = runs[i]!;
      return { lane: open[i]!, token: tokens[at]!, target: tokens[at + 1]! };
    });
    const step = await lanes.step(inputs, {
      logits: agreement,
      mass: mass && at === massPosition(masses[0]!.length),
      ...(signal ? { signal } : {}),
    });
    for (const [i, share] of step.mass.entries()) masses[i]!.push(share);
    going.forEach((run, i) => {
      nll[run]!.push(step.losses[i]!);
    });
    if (agreement) {
      compareRows(step.logits).forEach((compared, i) => {
        kl[i]!.push(compared.kl);
        top1[i]!.push(compared.same ? 1 : 0);
      });
    }
    done += going.length;
    onTokens?.(done);
  }
  return open.map((lane, i) => ({
    nll: nll[i]!,
    ...(agreement ? { kl: kl[i]!, top1: top1[i]! } : {}),
    ...(mass ? { mass: masses[i]! } : {}),
    ...memoryOf(engine, lanes, lane),
  }));
}

/** In place of an answer's next token. */
const ENDED = -1;

interface Writing {
  readonly lane: Lane;
  readonly ids: number[];
  readonly most: number;
  next: number;
}

/** Runs that follow each other and differ in their last part alone: what comes before is read once for all of them. */
function groupsOf(runs: readonly AnswerRun[]): AnswerRun[][] {
  const groups: { key: string; runs: AnswerRun[] }[] = [];
  for (const run of runs) {
    const { cache, system, parts } = run;
    const key = canonical([cache, system, parts.slice(0, -1)]);
    const before = groups.at(-1);
    if (parts.length > 1 && before?.key === key) before.runs.push(run);
    else groups.push({ key, runs: [run] });
  }
  return groups.map(({ runs }) => runs);
}

async function answer(
  engine: InferenceEngine,
  lanes: Lanes,
  runs: readonly AnswerRun[],
  { signal, onTokens }: Progress,
): Promise<Answer[]> {
  const { tokenizer, contextLength } = engine;
  let done = 0;
  const onRun = (tokens: number): void => {
    done += tokens;
    onTokens?.(done);
  };
  const writing: Writing[] = [];
  for (const group of groupsOf(runs)) {
    const [{ cache, parts, system = 0 }] = group as [AnswerRun];
    const first = await lanes.add(cache);
    first.sequence.setSystem(system);
    const common = group.length === 1 ? 0 : parts.length - 1;
    for (const part of parts.slice(0, common)) await lanes.prefill(first, part, signal, onRun);
    const open = group.map((_, i) => (i === 0 ? first : lanes.fork(first)));
    for (const [i, { parts, answerTokens }] of group.entries()) {
      const lane = open[i]!;
      let logits: Float32Array | undefined;
      for (const part of parts.slice(common))
        logits = await lanes.prefill(lane, part, signal, onRun);
      const prompt = parts.reduce((sum, part) => sum + part.length, 0);
      const most = endless(lane.sequence.settings)
        ? answerTokens
        : Math.min(answerTokens, contextLength - prompt);
      writing.push({ lane, ids: [], most, next: highest(logits!) });
    }
  }
  for (;;) {
    for (const one of writing) {
      if (one.next < 0) continue;
      if (one.ids.length >= one.most || tokenizer.endTokens.has(one.next)) one.next = ENDED;
      else one.ids.push(one.next);
    }
    const going = writing.filter(({ next, ids, most }) => next >= 0 && ids.length < most);
    if (going.length === 0) break;
    const inputs = going.map(({ lane, next }) => ({ lane, token: next }));
    const { logits } = await lanes.step(inputs, { logits: true, ...(signal ? { signal } : {}) });
    going.forEach((one, i) => {
      one.next = highest(logits[i]!);
    });
    onRun(going.length);
  }
  return writing.map(({ lane, ids }) => ({
    text: tokenizer.decode(ids),
    ...memoryOf(engine, lanes, lane),
  }));
}
