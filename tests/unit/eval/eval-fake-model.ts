import { throwIfAborted } from "../../../src/errors.ts";
import type {
  Answer,
  AnswerRun,
  Compared,
  EvalModel,
  Progress,
  TextRun,
} from "../../../src/eval/model.ts";
import {
  type EvalOptions,
  MASS_EVERY,
  massPosition,
  type TextScore,
} from "../../../src/eval/types.ts";
import { byteTokenizer, FakeEngine } from "../api/api-fake-engine.ts";

/** A model whose loss falls with the budget and which remembers only the end of a prompt. */
export class FakeModel implements EvalModel {
  tokenizer = byteTokenizer;
  readonly template = new FakeEngine().template;
  contextLength = 10_000;
  /** Each call: "losses full,random 40" or "answers 3". */
  readonly log: string[] = [];
  /** The tokens of each call of `losses`. */
  readonly passages: (readonly number[])[] = [];
  /** Calls that run before one is aborted. */
  abortAfter = Number.POSITIVE_INFINITY;
  readonly abortion = new AbortController();

  async losses(
    runs: readonly TextRun[],
    { agreement, mass }: Compared,
    progress: Progress = {},
  ): Promise<TextScore[]> {
    this.called(
      `losses ${runs.map(({ cache: { policy, budget } }) => `${policy} ${budget ?? "full"}`).join(", ")}`,
      progress,
    );
    this.passages.push(...runs.map(({ tokens }) => tokens));
    return runs.map(({ tokens, cache: { budget } }) => {
      const pairs = typeof budget === "number" ? Math.min(budget, tokens.length) : tokens.length;
      const nll = tokens.slice(1).map((token, i) => {
        const lost = i >= pairs ? 10 / pairs : 0;
        return 1 + (token % 7) / 10 + lost;
      });
      const same = nll.map((_, i) => (i >= pairs && i % 4 === 0 ? 0 : 1));
      return {
        nll,
        ...(mass ? { mass: masses(tokens.length, pairs) } : {}),
        ...(agreement ? { kl: nll.map((_, i) => (i >= pairs ? 1 / pairs : 0)), top1: same } : {}),
        bytes: pairs * 100,
        pairs,
      };
    });
  }

  async answers(runs: readonly AnswerRun[], progress: Progress = {}): Promise<Answer[]> {
    this.called(`answers ${runs.length}`, progress);
    return runs.map(({ cache: { budget }, parts }) => {
      const prompt = parts.flat();
      const pairs = typeof budget === "number" ? Math.min(budget, prompt.length) : prompt.length;
      const remembered = this.tokenizer.decode(prompt.slice(-pairs));
      return { text: (remembered.match(/\d{5,}/g) ?? []).join(" "), bytes: pairs * 100, pairs };
    });
  }

  private called(what: string, { signal, onTokens }: Progress): void {
    if (this.log.length >= this.abortAfter) this.abortion.abort();
    throwIfAborted(signal);
    this.log.push(what);
    onTokens?.(1);
  }
}

/** Attention that is the same for all tokens. */
const masses = (tokens: number, pairs: number): number[] =>
  Array.from({ length: Math.floor((tokens - 1) / MASS_EVERY) }, (_, i) =>
    Math.min(1, pairs / (massPosition(i) + 1)),
  );

export const OPTIONS: EvalOptions = {
  tasks: ["ppl", "agreement", "needle", "niah-multikey"],
  policies: ["full", "random", "streaming-llm"],
  budgets: [32, 64],
  ratios: [2, 8],
  lengths: [600],
  depths: [0, 1],
  asks: ["in", "after"],
  tokens: 120,
  passages: 3,
  bin: 40,
  trials: 2,
  seed: 1,
  kv: "f16",
  lanes: 4,
};

export const TEXT = "Call me Ishmael. Some years ago, never mind how long, I went to sea. ".repeat(
  12,
);
