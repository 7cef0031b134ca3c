import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { Runner } from "../steps/runner.ts";
import type { Sampler } from "../steps/sampler.ts";
import { draftRows } from "./draft-rows.ts";
import { Drafter } from "./drafter.ts";
import type { StepCosts } from "./step-costs.ts";

/** What a chat has in the cache. */
export interface DraftPlace {
  readonly alive: KvSequence | undefined;
  readonly live: KvSequence;
  readonly seen: number[];
  copyRow(copy: (to: GPUBuffer) => boolean): void;
}

/** The steps of several tokens in one answer, and what the cache holds of each. */
export class Drafts {
  private readonly runner: () => Runner;
  private readonly costs: StepCosts;
  private readonly place: DraftPlace;
  /** There once a guess was submitted. */
  private drafter: Drafter | undefined;

  /** `runner`: of the present device. */
  constructor(runner: () => Runner, costs: StepCosts, place: DraftPlace) {
    this.runner = runner;
    this.costs = costs;
    this.place = place;
  }

  /** Resolves once a step is read; undefined if none is in flight. */
  get unsettled(): Promise<void> | undefined {
    return this.drafter?.inFlight ? this.drafter.settled() : undefined;
  }

  /** To be called before anything else changes the cache: what was run cannot be taken back then. */
  seal(): void {
    this.drafter?.seal();
  }

  /**
   * Submits a step of `token` and guesses, or undefined where the kernels for it are still being compiled, or
   * another conversation's step is in flight.
   */
  submit(
    sampler: Sampler,
    token: number,
    guesses: readonly number[],
  ): Promise<number[]> | undefined {
    const runner = this.runner();
    if (runner.compiled({ drafts: true })) return undefined;
    const steps = runner.transformer.drafts.value;
    if (steps.owner?.inFlight) return undefined;
    if (draftRows(this.place.live, 1 + guesses.length) < 2) return undefined;
    this.drafter ??= new Drafter(runner, steps, this.costs);
    return this.drafter.submit(sampler, this.place.live, token, guesses);
  }

  /** Books what the cache holds of a step that was read. */
  see(): void {
    const { drafter, place } = this;
    if (!drafter || !place.alive) return;
    place.seen.push(...drafter.held);
    place.copyRow((to) => drafter.copyRow(to));
  }

  /**
   * At the end of an answer: of the last step the cache keeps what was yielded, all but `drawn` tokens; where nothing
   * shall run `ahead` not even the token yielded last.
   */
  leave(drawn: number, ahead = true): void {
    const { drafter, place } = this;
    this.drafter = undefined;
    if (!drafter || !place.alive) return;
    const held = drafter.held.length;
    const taken = held - drawn;
    const kept = Math.min(held, ahead ? taken + 1 : Math.max(taken, 1));
    if (kept >= held || !drafter.keep(kept)) return;
    place.seen.length -= held - kept;
    place.copyRow((to) => drafter.copyRow(to));
  }

  /** The cache is gone, and what was run with it. */
  forget(): void {
    this.drafter = undefined;
  }
}
