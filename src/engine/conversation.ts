import { type CacheRequest, type CacheSettings, capacityOf, DEFAULTS } from "../cache/budget.ts";
import { KvSequence } from "../cache/kv-sequence.ts";
import { policyOf } from "../cache/policies/index.ts";
import { scoresAlike } from "../cache/policies/scoring-id.ts";
import { loadLater, throwIfAborted, WinnowError } from "../errors.ts";
import { PAGE_SLOTS } from "../kernels/cache-shape.ts";
import { uncompressedBytes } from "../model/config.ts";
import { DRAFT_ROWS } from "../model/draft-rows.ts";
import type { EngineCore } from "./core.ts";
import type { Drafter } from "./drafter.ts";
import type { GenerateOptions, GenerateResult, SamplingOptions } from "./generate-options.ts";
import type { Measured, MeasureOptions } from "./measure.ts";
import { commonPrefix, reusablePrefix } from "./prefix.ts";
import type { TokenSource } from "./runner.ts";
import { Sampler } from "./sampler.ts";
import type { Speculation } from "./speculation.ts";
import type { DeviceState } from "./state.ts";

/** Answers never need it. */
const measuring = () => loadLater("measurements", () => import("./measure.ts"));

/** Times in a row that a device may be lost before a step is given up. */
const MAX_LOSSES = 3;
/** Tokens of an answer from which on what eviction needs is compiled beside it: until then it would slow short ones. */
const LONG_ANSWER = 64;

export type { GenerateOptions, GenerateResult, SamplingOptions };

export interface ConversationUsage {
  budget: number | "full";
  policy: CacheSettings["policy"];
  wholeLayers: number;
  tokensSeen: number;
  pairsKept: number;
  pairsEvicted: number;
  bytes: number;
  bytesUncompressed: number;
}

/**
 * One chat's tokens and its place in the cache. Steps of several conversations may interleave; within one,
 * a `generate` ends (or is returned from) before the next begins.
 */
export class Conversation {
  private readonly core: EngineCore;
  /** What was asked for. */
  private asked: CacheRequest;
  /** What is done: another policy where the model lacks what the asked one needs. */
  private request: CacheRequest;
  private sequence: KvSequence | undefined;
  /** The device the sequence lives on: another one means the cache is gone. */
  private home: DeviceState | undefined;
  private seen: number[] = [];
  /** The residual stream [E] after the token seen last: where a prompt that is all cached goes on from. */
  private lastRow: GPUBuffer | undefined;
  /** How many tokens had been seen when it was kept. */
  private lastRowAt = 0;
  private running = false;
  /** Of the answer that is being generated, where it has guessed. */
  private drafter: Drafter | undefined;

  constructor(core: EngineCore, request: CacheRequest) {
    this.core = core;
    this.asked = request;
    this.request = core.withPolicy(request);
    this.core.settingsOf(this.request);
  }

  /** Ids of the tokens that the cache has seen, in order. */
  get tokens(): readonly number[] {
    return this.seen;
  }

  get settings(): CacheSettings {
    return this.alive?.settings ?? this.core.settingsOf(this.request);
  }

  usage(): ConversationUsage {
    const { budget, policy, wholeLayers } = this.settings;
    const used = this.alive?.usage() ?? { tokensSeen: 0, pairsKept: 0, pairsEvicted: 0, bytes: 0 };
    const bytesUncompressed = uncompressedBytes(this.core.config, used.tokensSeen);
    return { budget, policy, wholeLayers, ...used, bytesUncompressed };
  }

  /**
   * Changes budget, policy, window, sinks or whole layers; parts left out stay. Takes effect before the next
   * token. A smaller budget (or fewer whole layers) evicts at once and gives memory back; a larger one keeps
   * what there is.
   */
  async configure(options: CacheRequest): Promise<ConversationUsage> {
    this.core.checkOpen();
    this.core.checkStorage(options.kv);
    await this.settled();
    const said = Object.entries(options).filter(([, value]) => value !== undefined);
    const asked = { ...this.asked, ...Object.fromEntries(said) };
    const request = this.core.withPolicy(asked);
    const settings = this.core.settingsOf(request);
    this.core.checkBudget(settings);
    // Compiled first: nothing may come between reading the cache's settings and acting on them. A chat that has not
    // begun has nothing to act on.
    const changes = this.alive !== undefined && this.alive.settings.policy !== settings.policy;
    if (this.alive || this.running)
      await this.core.survive(({ runner }) => runner.prepare(settings.policy, changes));
    await this.settled();
    const sequence = this.alive;
    if (sequence) {
      this.drafter?.seal();
      const { runner } = this.core.state;
      const shrinks = sequence.exceeds(settings);
      const changing = policyOf(settings.policy).scoring !== undefined;
      const before = sequence.settings;
      const anew = before.policy !== settings.policy;
      // Scores that change may be old, or missing, as long as nothing had to go.
      const rescored = !scoresAlike(before, settings) || (changing && lowers(before, settings));
      // What may fail comes first: copies of pages that are shared with a fork.
      if (rescored || shrinks) sequence.own(rescored || changing ? undefined : settings);
      sequence.setSettings(settings);
      if (rescored && sequence.tokensSeen > 0) runner.rescore(sequence, anew);
      runner.shrink(sequence);
    }
    this.asked = asked;
    this.request = request;
    return this.usage();
  }

  /** Whether the policy that was asked for would drop pairs, and lacks its calibration. */
  get wantsCalibration(): boolean {
    const { policy = DEFAULTS.policy, budget = DEFAULTS.budget } = this.asked;
    return budget !== "full" && this.core.lacks(policy).length > 0;
  }

  /** Decides anew whether the policy that was asked for can be had: the model's calibration has changed. */
  askAgain(): void {
    this.request = this.core.withPolicy(this.asked);
  }

  /**
   * How many (layer, kv head) pairs, of the layers without a window, still keep each token, with the tokens' text. After the
   * loss of the device nothing is kept until the next turn.
   */
  async retention(): Promise<{ heads: number; tokens: string[]; kept: number[] }> {
    this.core.checkOpen();
    await this.settled();
    const heads = this.core.globalLayers.length * this.core.config.kvHeads;
    const { ids, kept } = await this.core.survive(async ({ runner: { compressor } }) => {
      const kernel = await compressor.prepareRetention();
      const ids = [...this.seen];
      const kept = this.alive
        ? Array.from(await compressor.retention(this.alive, kernel)).slice(0, ids.length)
        : new Array<number>(ids.length).fill(0);
      return { ids, kept };
    });
    const tokens = ids.map((id) => this.core.tokenizer.decode([id], { special: true }));
    return { heads, tokens, kept };
  }

  /** Forgets everything and frees the pages. Throws busy while an answer is being generated. */
  async reset(): Promise<void> {
    this.checkFree();
    this.forget();
  }

  /**
   * A conversation that has seen the same tokens and shares the pages until either writes to them. Throws
   * busy while an answer is being generated.
   */
  fork(): Conversation {
    this.checkFree();
    const copy = new Conversation(this.core, this.asked);
    if (this.alive) {
      copy.settle(this.alive.fork());
      copy.seen = [...this.seen];
      if (this.lastRow && copy.lastRow && this.lastRowAt === this.seen.length) {
        const { gpu } = this.core.state;
        gpu.copy(this.lastRow, copy.lastRow);
        copy.lastRowAt = this.lastRowAt;
      }
    }
    return copy;
  }

  /**
   * Runs the part of `prompt` that the cache has not seen, then yields one token after another; the token
   * that ends the answer is not yielded. Throws context_overflow, out_of_memory, busy, and aborted (within
   * one token, or one prompt chunk); the conversation stays usable after each.
   */
  async *generate(
    prompt: readonly number[],
    options: GenerateOptions,
  ): AsyncGenerator<number, GenerateResult> {
    this.checkFree();
    this.running = true;
    let sampler: Sampler | undefined;
    // Tokens drawn and not yielded: the cache has seen all of them but the last.
    let drawn: number[] = [];
    let settle: (() => void) | undefined;
    try {
      throwIfAborted(options.signal);
      this.checkPrompt(prompt);
      settle = this.core.state.gpu.kernels.answering();
      const cachedTokens = this.reuse(prompt);
      const result = { cachedTokens, promptTokens: prompt.length };
      // What the cache must have seen before the next token is drawn: all of it is run again on a new
      // device when this one is lost.
      const wanted = [...this.seen, ...prompt.slice(cachedTokens)];
      const answer: number[] = [];
      let guesser = this.core.guesser(wanted, options.speculative);
      let draft: Promise<number[]> | undefined;
      // The token yielded last, where the cache has not seen it.
      let next: number | undefined;
      for (let losses = 0; ; ) {
        const state = this.core.state;
        let ahead = false;
        let cut = 0;
        try {
          if (sampler && !this.alive) {
            // Another conversation found the device lost and replaced it.
            sampler.dispose();
            sampler = undefined;
            [drawn, draft, this.drafter] = [[], undefined, undefined];
          }
          const started = sampler === undefined;
          if (!sampler) sampler = await this.start(state, wanted, prompt, answer, options);
          else if (next !== undefined) {
            await this.compiled(state, DRAFT_ROWS, "answer");
            throwIfAborted(options.signal);
            const left = options.maxTokens - answer.length;
            if (this.alive) draft = this.runNext(sampler, next, left, guesser);
          }
          next = undefined;
          if (draft) {
            drawn = await draft;
            draft = undefined;
            this.seeDraft();
          } else if (drawn.length === 0) {
            // Submitted behind the first draw, and read while the GPU runs ahead.
            const counting = started ? state.runner.compressor.clamped(this.live) : undefined;
            counting?.catch(() => {});
            // Guesses go with a token that is known.
            const guessing = guesser !== undefined && guesser.guess(DRAFT_ROWS).length > 0;
            ahead = !guessing && this.runAhead(sampler, answer.length, options);
            drawn = [await sampler.token()];
            cut = (await counting) ?? 0;
            guesser?.timed(ahead);
          }
          losses = 0;
        } catch (error) {
          sampler?.dispose();
          [sampler, drawn, draft, this.drafter] = [undefined, [], undefined, undefined];
          losses += 1;
          await this.core.recover(state, error, losses < MAX_LOSSES);
          continue;
        }
        if (await this.core.widen(state, cut, this.settings)) {
          sampler.dispose();
          [sampler, drawn, draft, this.drafter] = [undefined, [], undefined, undefined];
          continue;
        }
        const token = drawn.shift()!;
        // The cache has seen what ran ahead: what is yielded, or the end of the turn.
        if (ahead && this.alive) this.seen.push(token);
        const ran = ahead || drawn.length > 0;
        if (this.core.tokenizer.endTokens.has(token)) return { finish: "stop", ...result };
        if (answer.length === options.maxTokens) return { finish: "length", ...result };
        yield token;
        throwIfAborted(options.signal);
        this.core.checkOpen();
        wanted.push(token);
        answer.push(token);
        if (answer.length === options.maxTokens || wanted.length > this.core.config.contextLength)
          return { finish: "length", ...result };
        if (answer.length === LONG_ANSWER) settle();
        guesser?.push(token);
        // Guesses change no answer, so they may come late.
        guesser ??= this.core.guesser(wanted, options.speculative);
        if (answer.length === 1) this.core.prepareGuesses().catch(() => {});
        if (!ran) next = token;
      }
    } finally {
      settle?.();
      sampler?.dispose();
      this.leaveDraft(drawn.length, options.ahead ?? true);
      // A token that ran ahead and could not be read, or a prompt block cut short: what the cache has seen
      // is not known any more.
      if (this.alive && (this.alive.torn || this.alive.tokensSeen !== this.seen.length))
        this.forget();
      this.running = false;
    }
  }

  /**
   * Forgets what was seen, runs `tokens` as a prompt (or, with `chunk`, so many at a time; 1: the decode
   * path), and returns the logits [V] of the last.
   */
  logits(tokens: readonly number[], signal?: AbortSignal, chunk?: number): Promise<Float32Array> {
    return this.alone(tokens, async (measured) =>
      (await measuring()).measureLogits(measured, tokens, {
        ...(chunk === undefined ? {} : { chunk }),
        ...(signal ? { signal } : {}),
      }),
    );
  }

  /**
   * Forgets what was seen and runs `tokens` in chunks, returning nll[i] = -ln p(tokens[i + 1] | tokens[0..i]).
   * chunk 1 is the decode path (append, evict, attend), larger ones the prompt path (attend, evict).
   */
  nll(tokens: readonly number[], options: MeasureOptions): Promise<Float64Array> {
    return this.alone(tokens, async (measured) =>
      (await measuring()).measureLosses(measured, tokens, options),
    );
  }

  /** The sequence, unless the device it lived on is gone. */
  private get alive(): KvSequence | undefined {
    return this.home === this.core.state ? this.sequence : undefined;
  }

  /**
   * Waits while a step of several tokens is not read, a prompt block is between layers, or kernels that evict are
   * still being compiled; gives up a cache that stays torn. Throws closed.
   */
  private async settled(): Promise<void> {
    for (let wait = this.unsettled; wait; wait = this.unsettled) await wait;
    this.core.checkOpen();
    if (this.alive?.torn) this.forget();
  }

  private get unsettled(): Promise<void> | undefined {
    if (this.drafter?.inFlight) return this.drafter.settled();
    if (!this.alive) return undefined;
    const { runner, gpu } = this.core.state;
    if (!gpu.kernels.ready("eviction")) return gpu.kernels.compiled("eviction");
    return runner.unsettled(this.alive);
  }

  /** Waits for the kernels that `tokens` more may need; settings may change meanwhile. */
  private async compiled(
    { runner }: DeviceState,
    tokens: number,
    of: "prompt" | "answer",
  ): Promise<void> {
    while (this.alive && !runner.ready(this.alive, tokens, of))
      await runner.compiled(this.alive, tokens, of);
  }

  private get live(): KvSequence {
    if (!this.alive) throw new WinnowError("internal", "the conversation has no sequence");
    return this.alive;
  }

  private checkFree(): void {
    this.core.checkOpen();
    if (!this.running) return;
    throw new WinnowError("busy", "this conversation is answering already", {
      hint: "Wait for the answer, abort it, or use another conversation.",
    });
  }

  private checkPrompt(tokens: readonly number[]): void {
    const { vocabulary, contextLength } = this.core.config;
    if (tokens.length === 0) throw new WinnowError("invalid_argument", "prompt: holds no tokens");
    const wrong = tokens.findIndex(
      (token) => !Number.isInteger(token) || token < 0 || token >= vocabulary,
    );
    if (wrong >= 0)
      throw new WinnowError(
        "invalid_argument",
        `tokens[${wrong}]: ${tokens[wrong]} is not a token id below ${vocabulary}`,
      );
    if (tokens.length > contextLength) {
      throw new WinnowError(
        "context_overflow",
        `the prompt has ${tokens.length} tokens, the model was trained for ${contextLength} positions`,
        {
          hint: "Shorten the prompt or start a new chat.",
          details: { tokens: tokens.length, contextLength },
        },
      );
    }
  }

  /** Makes the cache fit the prompt: returns how many prompt tokens it holds already. */
  private reuse(prompt: readonly number[]): number {
    const cached = this.alive ? reusablePrefix(this.core.tokenizer, this.seen, prompt) : -1;
    const startable = cached < prompt.length || this.lastRowAt === this.seen.length;
    if (cached >= 0 && startable) return cached;
    // A question asked anew or an answer taken back: what comes before it stays, where nothing was evicted.
    const common = Math.min(commonPrefix(this.seen, prompt), prompt.length - 1);
    if (common > 0 && this.alive?.whole) {
      this.alive.truncate(common);
      this.seen.length = common;
      return common;
    }
    this.forget();
    return this.share(prompt);
  }

  /**
   * Starts from the pages of another conversation that begins alike (a system prompt, say), as long as
   * either writes elsewhere; returns how many tokens they share. At least a page, or nothing is gained.
   */
  private share(prompt: readonly number[]): number {
    const settings = this.core.settingsOf(this.request);
    const most = Math.min(prompt.length - 1, capacityOf(settings));
    let donor: Conversation | undefined;
    let common = PAGE_SLOTS - 1;
    for (const other of this.core.holders) {
      // Scores are stored with the keys: they must be of the same policy.
      if (!other.alive?.whole || other.settings.policy !== settings.policy) continue;
      const length = Math.min(commonPrefix(other.seen, prompt), most);
      if (length > common) [donor, common] = [other, length];
    }
    if (!donor?.alive) return 0;
    const sequence = donor.alive.fork();
    sequence.truncate(common);
    sequence.setSettings(settings);
    this.settle(sequence);
    this.seen = prompt.slice(0, common);
    return common;
  }

  private forget(): void {
    this.core.holders.delete(this);
    this.alive?.free();
    if (this.lastRow) this.home?.gpu.ledger.destroy(this.lastRow);
    this.lastRow = undefined;
    this.lastRowAt = 0;
    this.sequence = undefined;
    this.seen = [];
  }

  private open(): void {
    this.forget();
    this.settle(new KvSequence(this.core.state.pool, this.core.settingsOf(this.request)));
  }

  /** Makes `sequence` this conversation's place on the present device. */
  private settle(sequence: KvSequence): void {
    this.sequence = sequence;
    this.home = this.core.state;
    this.core.holders.add(this);
    const bytes = this.core.config.hidden * 4;
    this.lastRow = this.home.gpu.ledger.storage("activations", "last row", bytes);
  }

  /**
   * Runs what the cache lacks of `wanted` and draws a token in the same breath: between two awaits, since
   * other conversations use the same activations.
   */
  private async start(
    state: DeviceState,
    wanted: readonly number[],
    prompt: readonly number[],
    answer: readonly number[],
    { sampling, signal, onPrefill }: GenerateOptions,
  ): Promise<Sampler> {
    const { gpu, sample, runner } = state;
    if (!this.alive) this.open();
    await this.compiled(state, wanted.length - this.seen.length, "prompt");
    if (!this.alive) this.open();
    const { vocabulary } = this.core.config;
    const sampler = new Sampler(
      gpu,
      sample,
      runner.transformer.buffers,
      sampling,
      prompt,
      answer,
      vocabulary,
    );
    try {
      const tokens = wanted.slice(this.seen.length);
      if (tokens.length === 0 && this.lastRow) {
        runner.restoreRow(this.lastRow);
        runner.submitHead(1, 0, sampler.dispatches, sampler.copy);
      }
      await runner.prefill(
        this.live,
        tokens,
        ({ done, total, taken, row, last }) => {
          if (row !== undefined) {
            this.seen.push(...taken);
            if (this.lastRow) runner.keepRow(row, this.lastRow);
            this.lastRowAt = this.seen.length;
            if (last) runner.submitHead(1, row, sampler.dispatches, sampler.copy);
          }
          if (answer.length === 0) onPrefill?.(done, total);
        },
        signal,
      );
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
  private runAhead(
    sampler: Sampler,
    answered: number,
    { maxTokens, ahead = true }: GenerateOptions,
  ): boolean {
    const { contextLength } = this.core.config;
    if (!ahead || answered + 1 >= maxTokens || this.seen.length + 1 > contextLength) return false;
    if (!this.core.state.runner.ready(this.live, 1, "answer")) return false;
    this.run(sampler, sampler.lastDrawn);
    return true;
  }

  /**
   * Submits the step of a token that was read, with guesses where they pay, and the draw of what follows; what is
   * returned is to be awaited for the latter, else the sampler has the next token. `left`: of the answer's tokens.
   */
  private runNext(
    sampler: Sampler,
    token: number,
    left: number,
    guesser: Speculation | undefined,
  ): Promise<number[]> | undefined {
    const room = Math.min(left, this.core.config.contextLength - this.seen.length);
    const guesses = guesser?.guess(room - 1) ?? [];
    const draft = guesses.length > 0 ? this.runDraft(sampler, token, guesses) : undefined;
    if (!draft) {
      this.run(sampler, token);
      this.seen.push(token);
    }
    return draft;
  }

  /**
   * Submits a step of `token` and guesses, or undefined where the kernels for it are still being compiled, or
   * another conversation's step is in flight.
   */
  private runDraft(
    sampler: Sampler,
    token: number,
    guesses: readonly number[],
  ): Promise<number[]> | undefined {
    const { guessing, state } = this.core;
    const { runner } = state;
    const steps = runner.drafts;
    if (!guessing || !steps) {
      this.core.prepareDrafts();
      return undefined;
    }
    if (!guessing.Drafter.free(steps)) return undefined;
    if (runner.draftRows(this.live, 1 + guesses.length) < 2) return undefined;
    this.drafter ??= new guessing.Drafter(runner, steps, guessing.costs);
    const drawn = this.drafter.submit(sampler, this.live, token, guesses);
    drawn.catch(() => {}); // awaited by the next turn of the loop
    return drawn;
  }

  /** Books what the cache holds of a step that was read. */
  private seeDraft(): void {
    const { drafter } = this;
    if (!drafter || !this.alive) return;
    this.seen.push(...drafter.held);
    if (this.lastRow && drafter.copyRow(this.lastRow)) this.lastRowAt = this.seen.length;
  }

  /**
   * At the end of an answer: of the last step of several tokens the cache keeps what was yielded, `left` having
   * been drawn in vain; without `ahead` not even the token yielded last.
   */
  private leaveDraft(left: number, ahead: boolean): void {
    const { drafter } = this;
    this.drafter = undefined;
    if (!drafter || !this.alive) return;
    const held = drafter.held.length;
    const taken = held - left;
    const kept = Math.min(held, ahead ? taken + 1 : Math.max(taken, 1));
    if (kept >= held || !drafter.keep(kept)) return;
    this.seen.length -= held - kept;
    if (this.lastRow && drafter.copyRow(this.lastRow)) this.lastRowAt = this.seen.length;
  }

  /** Submits one token's step and the draw of the next. */
  private run(sampler: Sampler, token: number | TokenSource): void {
    this.drafter?.seal();
    const { runner } = this.core.state;
    runner.submitToken(
      this.live,
      token,
      [...runner.transformer.head(1), ...sampler.dispatches],
      (encoder) => {
        sampler.copy(encoder);
        if (this.lastRow) runner.encodeKeep(encoder, 0, this.lastRow);
      },
    );
    this.lastRowAt = this.live.tokensSeen;
  }

  /** Runs `work` on an empty cache, and anew where the device is lost meanwhile. */
  private async alone<T>(
    tokens: readonly number[],
    work: (measured: Measured) => Promise<T>,
  ): Promise<T> {
    this.checkFree();
    this.checkPrompt(tokens);
    this.running = true;
    try {
      for (;;) {
        const { result, state, cut } = await this.core.survive(async (state) => {
          await state.gpu.kernels.compiled("eviction");
          await state.runner.prepare(this.core.settingsOf(this.request).policy);
          this.open();
          const onRun = (run: readonly number[]) => this.seen.push(...run);
          const sequence = this.live;
          const result = await work({ state, sequence, onRun });
          return { result, state, cut: await state.runner.compressor.clamped(sequence) };
        });
        if (!(await this.core.widen(state, cut, this.settings))) return result;
      }
    } finally {
      this.running = false;
    }
  }
}

/** Whether heads of some layer may hold less than before. */
const lowers = (before: CacheSettings, after: CacheSettings): boolean =>
  capacityOf(after) < capacityOf(before) || after.wholeLayers < before.wholeLayers;
