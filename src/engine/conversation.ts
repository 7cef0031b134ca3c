import {
  type CacheRequest,
  type CacheSettings,
  capacityOf,
  resolveCacheSettings,
  UNLIMITED,
} from "../cache/budget.ts";
import { KvSequence } from "../cache/kv-sequence.ts";
import { throwIfAborted, WinnowError } from "../errors.ts";
import { CHUNK_ROWS } from "../model/buffers.ts";
import { uncompressedBytes } from "../model/config.ts";
import type { EngineCore } from "./core.ts";
import type { GenerateOptions, GenerateResult, SamplingOptions } from "./generate-options.ts";
import { type Measured, type MeasureOptions, measureLogits, measureLosses } from "./measure.ts";
import { reusablePrefix } from "./prefix.ts";
import { Sampler } from "./sampler.ts";
import type { DeviceState } from "./state.ts";

/** Times in a row that a device may be lost before a step is given up. */
const MAX_LOSSES = 3;

export type { GenerateOptions, GenerateResult, SamplingOptions };

export interface ConversationUsage {
  budget: number | "full";
  policy: CacheSettings["policy"];
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
  private request: CacheRequest;
  private sequence: KvSequence | undefined;
  /** The device the sequence lives on: another one means the cache is gone. */
  private home: DeviceState | undefined;
  private seen: number[] = [];
  private running = false;

  constructor(core: EngineCore, request: CacheRequest) {
    this.core = core;
    this.request = core.withPolicy(request);
    resolveCacheSettings(this.request);
  }

  /** Ids of the tokens that the cache has seen, in order. */
  get tokens(): readonly number[] {
    return this.seen;
  }

  get settings(): CacheSettings {
    return this.alive?.settings ?? resolveCacheSettings(this.request);
  }

  usage(): ConversationUsage {
    const { budget, policy } = this.settings;
    const used = this.alive?.usage() ?? { tokensSeen: 0, pairsKept: 0, pairsEvicted: 0, bytes: 0 };
    const bytesUncompressed = uncompressedBytes(this.core.config, used.tokensSeen);
    return { budget, policy, ...used, bytesUncompressed };
  }

  /**
   * Changes budget, policy, window or sinks; parts left out stay. Takes effect before the next token. A
   * smaller budget evicts at once and gives memory back; a larger one keeps what there is.
   */
  async configure(options: CacheRequest): Promise<ConversationUsage> {
    this.core.checkOpen();
    const said = Object.entries(options).filter(([, value]) => value !== undefined);
    const request = this.core.withPolicy({ ...this.request, ...Object.fromEntries(said) });
    const settings = resolveCacheSettings(request);
    this.core.checkBudget(settings);
    const sequence = this.alive;
    if (sequence) {
      const { compressor } = this.core.state.runner;
      const rescored = settings.policy !== sequence.settings.policy;
      // What may fail comes first: copies of pages that are shared with a fork.
      if (rescored) sequence.own(UNLIMITED);
      else if (sequence.longestGlobal > capacityOf(settings)) sequence.own(capacityOf(settings));
      sequence.setSettings(settings);
      if (rescored && sequence.tokensSeen > 0) compressor.rescore(sequence);
      compressor.shrink(sequence);
    }
    this.request = request;
    return this.usage();
  }

  /**
   * How many (layer, kv head) pairs under the budget still keep each token, with the tokens' text. After the loss of the
   * device nothing is kept until the next turn.
   */
  async retention(): Promise<{ heads: number; tokens: string[]; kept: number[] }> {
    this.core.checkOpen();
    const heads = this.core.globalLayers.length * this.core.config.kvHeads;
    const ids = [...this.seen];
    const kept = new Array<number>(ids.length).fill(0);
    await this.core.survive(async ({ runner }) => {
      if (this.alive)
        (await runner.compressor.retention(this.alive)).forEach((n, i) => {
          kept[i] = n;
        });
    });
    const tokens = ids.map((id) => this.core.tokenizer.decode([id], { special: true }));
    return { heads, tokens, kept };
  }

  /** Forgets everything and frees the pages. Throws busy while an answer is being generated. */
  async reset(): Promise<void> {
    this.checkFree();
    this.forget();
  }

  /** A conversation that has seen the same tokens and shares the pages until either writes to them. */
  fork(): Conversation {
    this.core.checkOpen();
    const copy = new Conversation(this.core, this.request);
    if (this.alive) {
      copy.sequence = this.alive.fork();
      copy.home = this.home;
      copy.seen = [...this.seen];
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
    try {
      throwIfAborted(options.signal);
      this.checkPrompt(prompt);
      const cachedTokens = this.reuse(prompt);
      const result = { cachedTokens, promptTokens: prompt.length };
      // What the cache must have seen before the next token is drawn: all of it is run again on a new
      // device when this one is lost.
      const wanted = [...this.seen, ...prompt.slice(cachedTokens)];
      const answer: number[] = [];
      for (let losses = 0; ; ) {
        const state = this.core.state;
        let token: number;
        try {
          sampler ??= await this.start(state, wanted, prompt, answer, options);
          token = await sampler.token();
          losses = 0;
        } catch (error) {
          sampler?.dispose();
          sampler = undefined;
          losses += 1;
          await this.core.recover(state, error, losses < MAX_LOSSES);
          continue;
        }
        if (this.core.tokenizer.endTokens.has(token)) return { finish: "stop", ...result };
        if (answer.length === options.maxTokens) return { finish: "length", ...result };
        yield token;
        throwIfAborted(options.signal);
        this.core.checkOpen();
        if (
          answer.length + 1 === options.maxTokens ||
          this.seen.length + 1 > this.core.config.contextLength
        )
          return { finish: "length", ...result };
        if (this.alive) {
          const { runner } = this.core.state;
          runner.submitToken(
            this.live,
            token,
            [...runner.transformer.head(1), ...sampler.dispatches],
            sampler.copy,
          );
          this.seen.push(token);
        } else {
          // Another conversation found the device lost and replaced it.
          sampler.dispose();
          sampler = undefined;
        }
        wanted.push(token);
        answer.push(token);
      }
    } finally {
      sampler?.dispose();
      this.running = false;
    }
  }

  /** Forgets what was seen, runs `tokens` in chunks (1: the decode path), and returns the logits [V] of the last. */
  logits(
    tokens: readonly number[],
    signal?: AbortSignal,
    chunk = CHUNK_ROWS,
  ): Promise<Float32Array> {
    return this.alone(tokens, (measured) =>
      measureLogits(measured, tokens, { chunk, ...(signal ? { signal } : {}) }),
    );
  }

  /**
   * Forgets what was seen and runs `tokens` in chunks, returning nll[i] = -ln p(tokens[i + 1] | tokens[0..i]).
   * chunk 1 is the decode path (append, evict, attend), larger ones the prompt path (attend, evict).
   */
  nll(tokens: readonly number[], options: MeasureOptions): Promise<Float64Array> {
    return this.alone(tokens, (measured) => measureLosses(measured, tokens, options));
  }

  /** The sequence, unless the device it lived on is gone. */
  private get alive(): KvSequence | undefined {
    return this.home === this.core.state ? this.sequence : undefined;
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
    if (cached < 0) this.open();
    return Math.max(0, cached);
  }

  private forget(): void {
    this.alive?.free();
    this.sequence = undefined;
    this.seen = [];
  }

  private open(): void {
    this.forget();
    this.sequence = new KvSequence(this.core.state.pool, resolveCacheSettings(this.request));
    this.home = this.core.state;
  }

  /**
   * Runs what the cache lacks of `wanted` and draws a token in the same breath: between two awaits, since
   * other conversations use the same activations.
   */
  private async start(
    { gpu, sample, runner }: DeviceState,
    wanted: readonly number[],
    prompt: readonly number[],
    answer: readonly number[],
    { sampling, signal, onPrefill }: GenerateOptions,
  ): Promise<Sampler> {
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
      let done = 0;
      await runner.prefill(
        this.live,
        tokens,
        (chunk, last) => {
          this.seen.push(...chunk);
          if (last) runner.submitHead(1, chunk.length - 1, sampler.dispatches, sampler.copy);
          done += chunk.length;
          if (answer.length === 0) onPrefill?.(done, tokens.length);
        },
        signal,
      );
      return sampler;
    } catch (error) {
      sampler.dispose();
      throw error;
    }
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
      return await this.core.survive((state) => {
        this.open();
        const onRun = (run: readonly number[]) => this.seen.push(...run);
        return work({ state, sequence: this.live, onRun });
      });
    } finally {
      this.running = false;
    }
  }
}
