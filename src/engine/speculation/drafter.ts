import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { SequenceMark } from "../../cache/sequence/sequence-books.ts";
import type { DraftSteps } from "../../model/draft-steps.ts";
import type { Runner } from "../steps/runner.ts";
import type { Sampler } from "../steps/sampler.ts";
import { draftRows } from "./draft-rows.ts";
import type { StepCosts } from "./step-costs.ts";

/** One step of several tokens. */
interface Draft {
  readonly sequence: KvSequence;
  readonly before: SequenceMark;
  /** The token drawn last, then guesses. */
  readonly tokens: readonly number[];
  /** How many of them are in the cache. */
  kept: number;
}

/** Runs guessed tokens of one request, and takes those back that were guessed wrong or are not wanted. */
export class Drafter {
  private readonly runner: Runner;
  private readonly steps: DraftSteps;
  private draft: Draft | undefined;
  private readonly costs: StepCosts;
  private reading: Promise<unknown> | undefined;

  constructor(runner: Runner, steps: DraftSteps, costs: StepCosts) {
    this.runner = runner;
    this.steps = steps;
    this.costs = costs;
  }

  /** Whether a step was submitted whose tokens are not read yet. */
  get inFlight(): boolean {
    return this.reading !== undefined;
  }

  /** Resolves once the step in flight is read and its wrong guesses are taken back. */
  async settled(): Promise<void> {
    await this.reading?.catch(() => {});
  }

  /** Submits one step that runs `token` and as many of `guesses` as it can take; resolves by `settle`. */
  submit(
    sampler: Sampler,
    sequence: KvSequence,
    token: number,
    guesses: readonly number[],
  ): Promise<number[]> {
    const rows = draftRows(sequence, 1 + guesses.length);
    const tokens = [token, ...guesses.slice(0, rows - 1)];
    const before = sequence.mark();
    this.runner.submitDraft(this.steps, sequence, tokens, sampler.draft(rows), (encoder) =>
      sampler.copyDraft(encoder, rows),
    );
    this.steps.owner = this;
    this.draft = { sequence, before, tokens, kept: rows };
    const submitted = performance.now();
    const reading = sampler.draftTokens(rows, tokens.slice(1)).then((drawn) => {
      this.reading = undefined;
      this.costs.note(rows, performance.now() - submitted);
      this.keep(drawn.length);
      return drawn;
    });
    this.reading = reading;
    return reading;
  }

  /** The tokens of the last step that the cache holds. */
  get held(): readonly number[] {
    return this.draft ? this.draft.tokens.slice(0, this.draft.kept) : [];
  }

  /** Nothing of the last step can be taken back from here on: something else has changed the cache. */
  seal(): void {
    this.draft = undefined;
  }

  /**
   * Takes all but the first `count` tokens of the last step out of the cache, which is then as if the others had
   * never been run; false where it is too late for that.
   */
  keep(count: number): boolean {
    const { draft, steps, runner } = this;
    if (!draft || steps.owner !== this) return false;
    if (count >= draft.kept) return true;
    const { sequence, before } = draft;
    runner.gpu.run(steps.takeBack(sequence.lane, count, draft.kept));
    sequence.rewind(before, count);
    draft.kept = count;
    return true;
  }

  /** Copies the residual stream after the last token that was kept. */
  copyRow(to: GPUBuffer): boolean {
    const { draft, steps, runner } = this;
    if (!draft || steps.owner !== this) return false;
    runner.gpu.copy(steps.kept, to, (draft.kept - 1) * to.size);
    return true;
  }
}
