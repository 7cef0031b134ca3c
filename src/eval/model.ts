import type { CacheRequest } from "../cache/budget.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import type { Lane, Lanes } from "../engine/lanes.ts";
import { WinnowError } from "../errors.ts";
import { compareRows, highest } from "./agreement.ts";
import type { PromptText } from "./prompt.ts";
import { type CellMemory, massPosition, type TextScore } from "./types.ts";

export interface Progress {
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the tokens run so far, over all sequences. */
  readonly onTokens?: ((tokens: number) => void) | undefined;
}

export interface AnswerRun {
  readonly cache: CacheRequest;
  readonly parts: readonly (readonly number[])[];
  readonly answerTokens: number;
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
   * Runs `tokens` token by token under each cache, together. Each is compared with the first one, which must
   * then be uncompressed.
   */
  losses(
    tokens: readonly number[],
    caches: readonly CacheRequest[],
    compared: Compared,
    progress?: Progress,
  ): Promise<TextScore[]>;
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
    losses: (tokens, caches, compared, progress = {}) =>
      engine.lanes(caches.length, (lanes) =>
        measure(engine, lanes, tokens, caches, compared, progress),
      ),
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
  tokens: readonly number[],
  caches: readonly CacheRequest[],
  { agreement, mass }: Compared,
  { signal, onTokens }: Progress,
): Promise<TextScore[]> {
  const open = await Promise.all(caches.map((cache) => lanes.add(cache)));
  const nll = caches.map((): number[] => []);
  const kl = caches.map((): number[] => []);
  const top1 = caches.map((): number[] => []);
  const masses = caches.map((): number[] => []);
  const count = tokens.length - 1;
  if (mass) await lanes.prepareMass(count);
  for (let at = 0; at < count; at += 1) {
    const inputs = open.map((lane) => ({ lane, token: tokens[at]!, target: tokens[at + 1]! }));
    const step = await lanes.step(inputs, {
      logits: agreement,
      mass: mass && at === massPosition(masses[0]!.length),
      ...(signal ? { signal } : {}),
    });
    for (const [i, share] of step.mass.entries()) masses[i]!.push(share);
    caches.forEach((_, i) => {
      nll[i]!.push(step.losses[i]!);
    });
    if (agreement) {
      compareRows(step.logits).forEach((compared, i) => {
        kl[i]!.push(compared.kl);
        top1[i]!.push(compared.same ? 1 : 0);
      });
    }
    onTokens?.((at + 1) * caches.length);
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
  for (const { cache, parts, answerTokens } of runs) {
    const lane = await lanes.add(cache);
    let logits: Float32Array | undefined;
    for (const part of parts) logits = await lanes.prefill(lane, part, signal, onRun);
    const prompt = parts.reduce((sum, part) => sum + part.length, 0);
    const most = Math.min(answerTokens, contextLength - prompt);
    writing.push({ lane, ids: [], most, next: highest(logits!) });
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
