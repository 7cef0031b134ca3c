import { type CacheSettings, endless } from "../../cache/budget.ts";
import { throwIfAborted } from "../../errors.ts";
import { DRAFT_ROWS, draftsPossible } from "../../model/draft-rows.ts";
import type { EngineCore } from "../core.ts";
import type { Drafts } from "../speculation/drafts.ts";
import type { Speculation } from "../speculation/speculation.ts";
import type { DeviceState } from "../state.ts";
import type { AllowedTokens } from "../steps/allowed-tokens.ts";
import { loadAllowed, loadExtras } from "../steps/load-extras.ts";
import type { TokenSource } from "../steps/runner.ts";
import { Sampler } from "../steps/sampler.ts";
import { needsOf } from "../steps/step-needs.ts";
import type { GenerateOptions, GenerateResult } from "./generate-options.ts";
import type { Place } from "./place.ts";

/** Times in a row that a device may be lost before a step is given up. */
const MAX_LOSSES = 3;
/** Tokens of an answer from which on what eviction needs is compiled beside it: until then it would slow short ones. */
const LONG_ANSWER = 64;

const SOME_ARE_NONE =
  "some of the model's logits are no numbers, and their tokens are never drawn: its file is damaged";

/** How tokens were drawn. */
interface Drawn {
  /** The step of the token that was drawn runs already. */
  readonly ahead: boolean;
  /** Keys and values of the prompt that were cut to what f16 holds. */
  readonly cut: number;
}

/** One answer to a prompt: reads it, draws tokens, runs them, ahead or guessed where that pays. */
export class Turn {
  private readonly core: EngineCore;
  private readonly place: Place;
  /** The settings that the chat asks for now; they may change meanwhile. */
  private readonly asked: () => CacheSettings;
  private readonly prompt: readonly number[];
  private readonly options: GenerateOptions;
  private readonly answer: number[] = [];
  /** Tokens that the cache must have seen before the next one is drawn; all are run again on a new device. */
  private wanted: number[] = [];
  private sampler: Sampler | undefined;
  /** Tokens drawn and not yielded: the cache has seen all of them but the last. */
  private drawn: number[] = [];
  /** There once a guess was submitted. */
  private drafts: Drafts | undefined;
  /** There where the answer is held to a form. */
  private allowed: AllowedTokens | undefined;
  /** The token drawn last runs, and the draw behind it waits for what that token allows. */
  private undrawn = false;

  constructor(
    core: EngineCore,
    place: Place,
    asked: () => CacheSettings,
    prompt: readonly number[],
    options: GenerateOptions,
  ) {
    this.core = core;
    this.place = place;
    this.asked = asked;
    this.prompt = prompt;
    this.options = options;
  }

  /** Resolves once a step of several tokens is read; undefined if none is in flight. */
  get unsettled(): Promise<void> | undefined {
    return this.drafts?.unsettled;
  }

  /** To be called before anything else changes the cache: what was run cannot be taken back then. */
  seal(): void {
    this.drafts?.seal();
  }

  /** Yields one token after another; the one that ends the answer is not yielded. Throws as `Conversation.generate`. */
  async *run(): AsyncGenerator<number, GenerateResult> {
    const { core, place, prompt, answer, options } = this;
    const long = core.state.gpu.kernels.busy("answer");
    try {
      const cachedTokens = place.reuse(prompt, this.asked());
      const unread = prompt.length - cachedTokens;
      if (unread > 0) place.mark("before", unread + options.maxTokens);
      const result = { cachedTokens, promptTokens: prompt.length };
      this.wanted = [...place.seen, ...prompt.slice(cachedTokens)];
      const { wanted } = this;
      let guesser = core.guesser(wanted, options.speculative);
      // The token yielded last, where the cache has not seen it.
      let next: number | undefined;
      for (let losses = 0; ; ) {
        const state = core.state;
        let drawn: Drawn;
        try {
          drawn = await this.draw(state, next, guesser);
        } catch (error) {
          this.startOver();
          losses += 1;
          await core.host.recover(state, error, losses < MAX_LOSSES);
          continue;
        }
        next = undefined;
        losses = 0;
        if (await core.widen(state, drawn.cut, place.alive?.settings ?? this.asked())) {
          this.startOver();
          continue;
        }
        const token = this.drawn.shift()!;
        const scores = this.sampler?.scores.shift();
        // The cache has seen what ran ahead: what is yielded, or the end of the turn.
        if (drawn.ahead && place.alive) place.seen.push(token);
        const ran = drawn.ahead || this.drawn.length > 0;
        if (core.tokenizer.endTokens.has(token)) return { finish: "stop", ...result };
        if (answer.length === options.maxTokens) return { finish: "length", ...result };
        if (scores) options.onScores?.(scores);
        yield token;
        throwIfAborted(options.signal);
        core.checkOpen();
        wanted.push(token);
        answer.push(token);
        this.allowed?.take(token);
        if (this.allowed?.over) return { finish: this.allowed.finish, ...result };
        if (answer.length === options.maxTokens || wanted.length > this.end)
          return { finish: "length", ...result };
        if (answer.length === LONG_ANSWER) long();
        guesser?.push(token);
        // Guesses change no answer, so they may come late.
        guesser ??= core.guesser(wanted, options.speculative);
        if (answer.length === 1) core.prepareGuesses().catch(() => {});
        if (!ran) next = token;
      }
    } finally {
      long();
      this.sampler?.dispose();
      this.drafts?.leave(this.drawn.length, options.ahead);
      // A token that ran ahead and could not be read, or a prompt block cut short.
      place.leaveTorn();
    }
  }

  /** How many tokens the chat can hold: a budget has no end. */
  private get end(): number {
    return endless(this.asked()) ? Number.POSITIVE_INFINITY : this.core.config.contextLength;
  }

  /** Has tokens in `drawn`, at least one; `next`: runs it first. */
  private async draw(
    state: DeviceState,
    next: number | undefined,
    guesser: Speculation | undefined,
  ): Promise<Drawn> {
    const { core, place, options } = this;
    // Another conversation found the device lost and replaced it.
    if (this.sampler && !place.alive) this.startOver();
    const started = this.sampler === undefined;
    this.sampler ??= await this.start(state);
    const { sampler } = this;
    if (!started && next !== undefined) {
      await place.compiled(state, DRAFT_ROWS, "answer", [next]);
      throwIfAborted(options.signal);
      const draft = place.alive && this.runNext(sampler, next, guesser);
      if (draft) {
        this.drawn = await draft;
        this.drafts?.see();
      }
    }
    if (this.drawn.length > 0) return { ahead: false, cut: 0 };
    if (this.undrawn) this.drawBehind(sampler);
    // Submitted behind the first draw, and read while the GPU runs ahead.
    const counting = started ? state.runner.compressor.clamped(place.live) : undefined;
    counting?.catch(() => {});
    // Guesses go with a token that is known.
    const forced = this.allowed ? this.allowed.forced(2).length : 0;
    const guessing = forced > 1 || (guesser !== undefined && guesser.guess(DRAFT_ROWS).length > 0);
    const ahead = !guessing && this.runAhead(sampler);
    // What counts is freed before an error is told.
    this.drawn = [await sampler.token().finally(() => counting?.catch(() => {}))];
    const cut = (await counting) ?? 0;
    guesser?.timed(ahead);
    if (sampler.someAreNone) core.notice(SOME_ARE_NONE);
    return { ahead, cut };
  }

  /** The cache is gone: all is run again by the next `draw`. */
  private startOver(): void {
    this.sampler?.dispose();
    this.drafts?.forget();
    [this.sampler, this.drawn, this.undrawn] = [undefined, [], false];
  }

  /**
   * Runs what the cache lacks of `wanted` and draws a token in the same breath: between two awaits, since
   * other conversations use the same activations.
   */
  private async start(state: DeviceState): Promise<Sampler> {
    const { place, wanted, prompt, answer, core } = this;
    const { sampling, maxTokens, signal, onPrefill, constraint } = this.options;
    const { gpu, sample, runner, prompts } = state;
    const { vocabulary } = core.config;
    if (constraint)
      this.allowed = await loadAllowed(sample, constraint, vocabulary, maxTokens, this.allowed);
    const extras = await loadExtras(gpu, vocabulary, this.options);
    if (!place.alive) place.open(this.asked());
    await place.compiled(state, wanted.length - place.seen.length, "prompt");
    if (!place.alive) place.open(this.asked());
    place.live.setSystem(this.options.system ?? 0);
    const { buffers } = runner.transformer;
    const masked = this.allowed !== undefined;
    const drawn = [prompt, answer, vocabulary, masked, extras] as const;
    const sampler = new Sampler(gpu, sample, buffers, sampling, ...drawn);
    const draw = (row: number): void => {
      this.allowed?.write(sampler);
      runner.submitHead(1, row, sampler.dispatches, sampler.copy);
    };
    try {
      const tokens = wanted.slice(place.seen.length);
      if (tokens.length === 0 && place.restoreRow()) draw(0);
      await prompts.read(
        place.live,
        tokens,
        ({ done, total, taken, row, last }) => {
          if (row !== undefined) {
            place.seen.push(...taken);
            place.keepRow(row);
            if (last) draw(row);
          }
          if (answer.length === 0) onPrefill?.(done, total);
        },
        signal,
      );
      if (answer.length === 0) place.mark("asked", maxTokens);
      return sampler;
    } catch (error) {
      sampler.dispose();
      throw error;
    }
  }

  /**
   * Runs the token being drawn before it is read, so that the GPU never waits for the host; false where the
   * answer ends with it anyway, or the caller does not want it.
   */
  private runAhead(sampler: Sampler): boolean {
    const { core, place, answer } = this;
    const { maxTokens, ahead = true } = this.options;
    if (!ahead || answer.length + 1 >= maxTokens || core.config.layerwise) return false;
    if (place.seen.length + 1 > this.end) return false;
    if (core.state.runner.compiled(needsOf(place.live, 1, "answer"))) return false;
    // What may follow a token is known once it is: a mask comes between its step and the draw.
    this.undrawn = this.allowed !== undefined;
    this.step(sampler, sampler.lastDrawn, !this.undrawn);
    return true;
  }

  /** Submits the draw behind a step that ran ahead: others may have used the activations since. */
  private drawBehind(sampler: Sampler): void {
    this.undrawn = false;
    this.allowed?.write(sampler);
    this.place.restoreRow();
    this.core.state.runner.submitHead(1, 0, sampler.dispatches, sampler.copy);
  }

  /**
   * Submits the step of a token that was read, with guesses where they pay, and the draw of what follows; what is
   * returned is to be awaited for the latter, else the sampler has the next token.
   */
  private runNext(
    sampler: Sampler,
    token: number,
    guesser: Speculation | undefined,
  ): Promise<number[]> | undefined {
    const { core, place, options, answer } = this;
    const room = Math.min(options.maxTokens - answer.length, this.end - place.seen.length);
    const looked = guesser?.guess(room - 1) ?? [];
    const most = draftsPossible(core.config) ? Math.min(room, DRAFT_ROWS) - 1 : 0;
    const guesses = this.allowed ? this.allowed.guess(most, looked) : looked;
    let draft: Promise<number[]> | undefined;
    if (guesses.length > 0) {
      this.allowed?.write(sampler, guesses);
      this.drafts ??= core.drafts(place);
      draft = this.drafts?.submit(sampler, token, guesses);
    }
    if (!draft) {
      this.step(sampler, token);
      place.seen.push(token);
    }
    return draft;
  }

  /** Submits one token's step and, unless it is left to `drawBehind`, the draw of the next. */
  private step(sampler: Sampler, token: number | TokenSource, draws = true): void {
    this.seal();
    const { runner } = this.core.state;
    if (draws) this.allowed?.write(sampler);
    const after = draws ? [...runner.transformer.head(1), ...sampler.dispatches] : [];
    runner.submitToken(this.place.live, token, after, (encoder) => {
      if (draws) sampler.copy(encoder);
      this.place.encodeRow(encoder);
    });
  }
}
