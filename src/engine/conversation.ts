import { type CacheRequest, type CacheSettings, capacityOf, resolveCacheSettings } from "../cache/budget.ts";
import { KvSequence } from "../cache/kv-sequence.ts";
import { asWinnowError, throwIfAborted, WinnowError } from "../errors.ts";
import { CHUNK_ROWS, LOGIT_ROWS } from "../model/buffers.ts";
import { kvBytesPerToken } from "../model/config.ts";
import type { EngineCore } from "./core.ts";
import { reusablePrefix } from "./prefix.ts";
import { Sampler } from "./sampler.ts";

/** How tokens are drawn; 0 temperature = greedy, topK 0, topP 1, minP 0 and penalties 1, 0, 0 = off. */
export interface SamplingOptions {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  frequencyPenalty: number;
  presencePenalty: number;
  seed: number;
}

export interface GenerateOptions {
  sampling: SamplingOptions;
  maxTokens: number;
  signal?: AbortSignal;
  /** Prompt tokens run so far, and to run. */
  onPrefill?: (done: number, total: number) => void;
}

export interface GenerateResult {
  finish: "stop" | "length";
  /** Prompt tokens that were in the cache already. */
  cachedTokens: number;
  promptTokens: number;
}

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
  private device: unknown;
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
    return this.sequence?.settings ?? resolveCacheSettings(this.request);
  }

  usage(): ConversationUsage {
    const { budget, policy } = this.settings;
    const used = this.sequence?.usage() ?? { tokensSeen: 0, pairsKept: 0, pairsEvicted: 0, bytes: 0 };
    const bytesUncompressed = used.tokensSeen * kvBytesPerToken(this.core.config);
    return { budget, policy, ...used, bytesUncompressed };
  }

  /**
   * Changes budget, policy, window or sinks; parts left out stay. Takes effect before the next token. A
   * smaller budget evicts at once and gives memory back; a larger one keeps what there is.
   */
  async configure(options: CacheRequest): Promise<ConversationUsage> {
    const request = this.core.withPolicy({ ...this.request, ...options });
    const settings = resolveCacheSettings(request);
    this.core.checkBudget(settings);
    this.request = request;
    const sequence = this.sequence;
    if (sequence) {
      const { compressor } = this.core.state.runner;
      const rescored = settings.policy !== sequence.settings.policy;
      sequence.setSettings(settings);
      if (rescored && sequence.tokensSeen > 0) compressor.rescore(sequence);
      compressor.shrink(sequence);
    }
    return this.usage();
  }

  /** How many (layer, kv head) pairs still keep each token, with the tokens' text. */
  async retention(): Promise<{ heads: number; tokens: string[]; kept: number[] }> {
    const { layers, kvHeads } = this.core.config;
    const ids = [...this.seen];
    const kept = this.sequence ? await this.core.state.runner.compressor.retention(this.sequence) : [];
    const tokens = ids.map((id) => this.core.tokenizer.decode([id], { special: true }));
    return { heads: layers * kvHeads, tokens, kept: Array.from(kept).slice(0, ids.length) };
  }

  /** Forgets everything and frees the pages. */
  async reset(): Promise<void> {
    if (this.device === this.core.state) this.sequence?.free();
    this.sequence = undefined;
    this.seen = [];
  }

  /** A conversation that has seen the same tokens and shares the pages until either writes to them. */
  fork(): Conversation {
    const copy = new Conversation(this.core, this.request);
    if (this.sequence && this.device === this.core.state) {
      copy.sequence = this.sequence.fork();
      copy.device = this.device;
      copy.seen = [...this.seen];
    }
    return copy;
  }

  /**
   * Runs the part of `prompt` that the cache has not seen, then yields one token after another; the token
   * that ends the answer is not yielded. Throws context_overflow, out_of_memory, busy, and aborted (within
   * one token, or one prompt chunk); the conversation stays usable after each.
   */
  async *generate(prompt: readonly number[], options: GenerateOptions): AsyncGenerator<number, GenerateResult> {
    if (this.running) {
      throw new WinnowError("busy", "this conversation is answering already", {
        hint: "Wait for the answer, abort it, or use another conversation.",
      });
    }
    this.running = true;
    let sampler: Sampler | undefined;
    try {
      throwIfAborted(options.signal);
      this.checkPrompt(prompt);
      const cachedTokens = await this.reuse(prompt);
      const result = { cachedTokens, promptTokens: prompt.length };
      const newSampler = (history: readonly number[]): Sampler => {
        const { gpu, sample, runner } = this.core.state;
        return new Sampler(gpu, sample, runner.transformer.buffers, options.sampling, history, this.core.config.vocabulary);
      };
      await this.prefill(prompt.slice(cachedTokens), options);
      sampler = newSampler(prompt);
      this.drawAfterPrefill(sampler);
      for (let produced = 0; ; produced += 1) {
        let token: number;
        try {
          token = await sampler.token();
        } catch (error) {
          // The device may have been lost: rebuild it, run what was seen again, and draw this token anew.
          sampler = await this.recover(error, sampler, () => newSampler(this.seen));
          produced -= 1;
          continue;
        }
        if (this.core.tokenizer.endTokens.has(token)) return { finish: "stop", ...result };
        if (produced === options.maxTokens) return { finish: "length", ...result };
        yield token;
        throwIfAborted(options.signal);
        if (produced + 1 === options.maxTokens || this.seen.length + 1 > this.core.config.contextLength)
          return { finish: "length", ...result };
        const { runner } = this.core.state;
        runner.submitToken(this.live, token, [...runner.transformer.head(1), ...sampler.dispatches], sampler.copy);
        this.seen.push(token);
      }
    } finally {
      sampler?.dispose();
      this.running = false;
    }
  }

  /** Forgets what was seen, runs `tokens`, and returns the logits [V] of the last one. */
  async logits(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    this.checkPrompt(tokens);
    await this.reset();
    const rows = await this.run(tokens, signal);
    const { gpu, runner } = this.core.state;
    runner.submitHead(1, rows - 1);
    const bytes = await gpu.read(runner.transformer.buffers.logits, 0, this.core.config.vocabulary * 4);
    return new Float32Array(bytes);
  }

  /**
   * Forgets what was seen and runs `tokens` in chunks, returning nll[i] = -ln p(tokens[i + 1] | tokens[0..i]).
   * chunk 1 is the decode path (append, evict, attend), larger ones the prompt path (attend, evict).
   */
  async nll(
    tokens: readonly number[],
    { chunk, signal, onProgress }: { chunk: number; signal?: AbortSignal; onProgress?: (done: number) => void },
  ): Promise<Float64Array> {
    this.checkPrompt(tokens);
    await this.reset();
    this.open();
    const losses = new LossReader(this.core, tokens.length);
    try {
      for (let start = 0; start < tokens.length - 1; ) {
        throwIfAborted(signal);
        const rows = Math.min(chunk, CHUNK_ROWS, tokens.length - 1 - start);
        const part = tokens.slice(start, start + rows);
        if (chunk === 1) this.core.state.runner.submitToken(this.live, part[0]);
        else this.core.state.runner.submitChunk(this.live, part);
        this.seen.push(...part);
        for (let first = 0; first < rows; first += LOGIT_ROWS) {
          const at = start + first;
          losses.submit(tokens.slice(at + 1, Math.min(at + 1 + LOGIT_ROWS, start + rows + 1)), first, at);
        }
        start += rows;
        if (chunk > 1 || start % 16 === 0) {
          await this.core.state.runner.idle();
          onProgress?.(start);
        }
      }
      return await losses.read(tokens.length - 1);
    } finally {
      losses.dispose();
    }
  }

  private get live(): KvSequence {
    if (!this.sequence) throw new WinnowError("internal", "the conversation has no sequence");
    return this.sequence;
  }

  private checkPrompt(tokens: readonly number[]): void {
    const { vocabulary, contextLength } = this.core.config;
    if (tokens.length === 0) throw new WinnowError("invalid_argument", "prompt: holds no tokens");
    const wrong = tokens.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= vocabulary);
    if (wrong >= 0)
      throw new WinnowError("invalid_argument", `tokens[${wrong}]: ${tokens[wrong]} is not a token id below ${vocabulary}`);
    if (tokens.length > contextLength) {
      throw new WinnowError(
        "context_overflow",
        `the prompt has ${tokens.length} tokens, the model was trained for ${contextLength} positions`,
        { hint: "Shorten the prompt or start a new chat.", details: { tokens: tokens.length, contextLength } },
      );
    }
  }

  /** Makes the cache fit the prompt: returns how many prompt tokens it holds already. */
  private async reuse(prompt: readonly number[]): Promise<number> {
    if (this.device !== this.core.state) this.sequence = undefined;
    const cached = this.sequence ? reusablePrefix(this.core.tokenizer, this.seen, prompt) : -1;
    if (cached < 0 || !this.sequence) {
      await this.reset();
      this.open();
      return 0;
    }
    return cached;
  }

  private open(): void {
    this.sequence = new KvSequence(this.core.state.pool, resolveCacheSettings(this.request));
    this.device = this.core.state;
  }

  private lastRows = 0;

  private async prefill(tokens: readonly number[], { onPrefill, signal }: GenerateOptions): Promise<void> {
    let done = 0;
    this.lastRows = await this.core.state.runner.prefill(
      this.live,
      tokens,
      (chunk) => {
        this.seen.push(...chunk);
        done += chunk.length;
        onPrefill?.(done, tokens.length);
      },
      signal,
    );
  }

  private async run(tokens: readonly number[], signal?: AbortSignal): Promise<number> {
    this.open();
    return this.core.state.runner.prefill(this.live, tokens, (chunk) => this.seen.push(...chunk), signal);
  }

  private drawAfterPrefill(sampler: Sampler): void {
    const { runner } = this.core.state;
    runner.submitHead(1, this.lastRows - 1, sampler.dispatches, sampler.copy);
  }

  private async recover(error: unknown, sampler: Sampler, next: () => Sampler): Promise<Sampler> {
    if (!(await this.core.isLost())) throw asWinnowError(error);
    sampler.dispose();
    await this.core.rebuild();
    const tokens = this.seen;
    this.seen = [];
    this.sequence = undefined;
    this.open();
    this.lastRows = await this.core.state.runner.prefill(this.live, tokens, (chunk) => this.seen.push(...chunk));
    const fresh = next();
    this.drawAfterPrefill(fresh);
    return fresh;
  }
}

/** Collects losses on the GPU and reads them back once. */
class LossReader {
  private readonly core: EngineCore;
  private readonly targets: GPUBuffer;
  private readonly losses: GPUBuffer;
  private readonly params: GPUBuffer;
  private readonly bindings: GPUBindGroup;

  constructor(core: EngineCore, tokens: number) {
    this.core = core;
    const { gpu, nll, runner } = core.state;
    this.targets = gpu.ledger.storage("staging", "targets", LOGIT_ROWS * 4);
    this.losses = gpu.ledger.storage("staging", "losses", tokens * 4);
    this.params = gpu.ledger.uniform("nll", new Uint32Array([core.config.vocabulary, 0, 0, 0]));
    this.bindings = nll.bind(this.params, runner.transformer.buffers.logits, this.targets, this.losses);
  }

  /** Losses of `targets` under the rows of the residual stream from `first` on, into losses[at...]. */
  submit(targets: readonly number[], first: number, at: number): void {
    const { gpu, nll, runner } = this.core.state;
    gpu.write(this.targets, new Uint32Array(targets));
    gpu.write(this.params, new Uint32Array([this.core.config.vocabulary, at, 0, 0]));
    runner.submitHead(targets.length, first, [{ kernel: nll, bindings: this.bindings, workgroups: [targets.length] }]);
  }

  async read(count: number): Promise<Float64Array> {
    if (count === 0) return new Float64Array(0);
    return Float64Array.from(new Float32Array(await this.core.state.gpu.read(this.losses, 0, count * 4)));
  }

  dispose(): void {
    for (const buffer of [this.targets, this.losses, this.params]) this.core.state.gpu.ledger.destroy(buffer);
  }
}
