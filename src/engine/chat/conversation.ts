import {
  type CacheOptions,
  type CacheSettings,
  capacityOf,
  DEFAULTS,
  endless,
  withChange,
} from "../../cache/budget.ts";
import { policyOf } from "../../cache/policies/index.ts";
import { scoresAlike } from "../../cache/policies/scoring-id.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { invalidArgument, loadLater, throwIfAborted, WinnowError } from "../../errors.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import { uncompressedBytes } from "../../model/config.ts";
import type { ChatMessage } from "../../text/types.ts";
import type { EngineCore } from "../core.ts";
import type { LogitOptions, Measured, MeasureOptions } from "../measuring/measure.ts";
import { noNumbers } from "../no-numbers.ts";
import { everyStep } from "../steps/step-needs.ts";
import type { CacheUsage } from "./cache-usage.ts";
import type { GenerateOptions, GenerateResult } from "./generate-options.ts";
import { Place } from "./place.ts";
import type { ModelIdentity } from "./saved/chat-record.ts";
import { Turn } from "./turn.ts";

/** Answers never need it. */
const measuring = () => loadLater("measurements", () => import("../measuring/measure.ts"));

/**
 * One chat's tokens and its place in the cache. Steps of several conversations may interleave; within one,
 * a `generate` ends (or is returned from) before the next begins.
 */
export class Conversation {
  private readonly core: EngineCore;
  /** The settings that were asked for. */
  asked: CacheOptions;
  /** The settings in force: another policy steps in if the model lacks the calibration of the asked one. */
  private request: CacheOptions;
  /** Its place in the cache. */
  readonly place: Place;
  /** What the cache has read, in the words of the chat; undefined where nobody said. For `save` alone. */
  messages: readonly ChatMessage[] | undefined;
  private running = false;
  /** The answer that is being generated. */
  private turn: Turn | undefined;

  constructor(core: EngineCore, request: CacheOptions, place = new Place(core)) {
    this.core = core;
    this.asked = request;
    this.request = core.withPolicy(request);
    this.core.settingsOf(this.request);
    this.place = place;
  }

  /** Ids of the tokens that the cache has seen, in order. */
  get tokens(): readonly number[] {
    return this.place.seen;
  }

  get settings(): CacheSettings {
    return this.place.alive?.settings ?? this.core.settingsOf(this.request);
  }

  /** Whether it goes on past the trained length. */
  get endless(): boolean {
    return endless(this.core.settingsOf(this.request));
  }

  usage(): CacheUsage {
    const { settings } = this;
    const used = this.place.alive?.usage() ?? {
      tokensSeen: 0,
      pairsKept: 0,
      pairsEvicted: 0,
      bytes: 0,
    };
    const bytesUncompressed = uncompressedBytes(this.core.config, used.tokensSeen);
    return { ...settings, budgetBytes: this.core.mostBytes(settings), ...used, bytesUncompressed };
  }

  /**
   * Changes budget, policy, window, sinks or whole layers; parts left out stay. Takes effect before the next
   * token. A smaller budget (or fewer whole layers) evicts at once and gives memory back; a larger one keeps
   * what there is.
   */
  async configure(options: CacheOptions): Promise<CacheUsage> {
    this.core.checkOpen();
    this.core.checkStorage(options.kv);
    await this.settled();
    const asked = withChange(this.asked, options);
    const request = this.core.withPolicy(asked);
    const settings = this.core.settingsOf(request);
    this.core.checkBudget(settings);
    await this.core.host.survive(async ({ runner }) => {
      const wait = (): Promise<unknown> | undefined => {
        const { alive } = this.place;
        const changes = alive?.settings.policy !== settings.policy;
        return this.unsettled ?? (alive && runner.compiled(everyStep(settings.policy, changes)));
      };
      // Nothing is awaited between the last look and acting on what was seen.
      for (let waiting = wait(); waiting; waiting = wait()) await waiting;
      this.checkWhole();
      const sequence = this.place.alive;
      // What could be gone back to is of other settings.
      this.place.forgetMarks();
      if (sequence) this.place.using(() => this.change(sequence, settings));
    });
    this.asked = asked;
    this.request = request;
    return this.usage();
  }

  private change(sequence: KvSequence, settings: CacheSettings): void {
    this.turn?.seal();
    const { runner } = this.core.state;
    const shrinks = sequence.exceeds(settings);
    const changing = policyOf(settings.policy).scoring !== undefined;
    const before = sequence.settings;
    const anew = before.policy !== settings.policy;
    // Scores that change may be old, or missing, as long as nothing had to go.
    const rescored = !scoresAlike(before, settings) || (changing && lowers(before, settings));
    // What may fail comes first: copies of pages that are shared with a fork.
    if (rescored || shrinks)
      sequence.pages.own(
        rescored || changing ? {} : { capacities: sequence.capacitiesUnder(settings) },
      );
    sequence.setSettings(settings);
    if (rescored && sequence.tokensSeen > 0) runner.rescore(sequence, anew);
    runner.shrink(sequence);
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
    const { ids, kept } = await this.core.host.survive(async ({ runner }) => {
      await runner.compiled({ retention: true });
      const { seen, alive } = this.place;
      const ids = [...seen];
      const kept = alive
        ? Array.from(await runner.compressor.retention(alive)).slice(0, ids.length)
        : new Array<number>(ids.length).fill(0);
      return { ids, kept };
    });
    const tokens = ids.map((id) => this.core.tokenizer.decode([id], { special: true }));
    return { heads, tokens, kept };
  }

  /**
   * All that goes into the next token, as a file for `load`; `messages` is kept in it. Throws busy while an answer is
   * being generated, invalid_argument where nothing is in the cache, aborted.
   */
  async save(model: ModelIdentity, signal?: AbortSignal): Promise<Blob> {
    this.checkFree();
    // A fork stays as it is while this chat goes on.
    const place = this.place.fork();
    const { asked, messages } = this;
    place.use();
    try {
      const { saveChat } = await loadLater("saved chats", () => import("./saved/save-chat.ts"));
      return await this.core.host.survive(async () => {
        throwIfAborted(signal);
        if (place.alive) return saveChat(this.core, place, { model, asked, messages }, signal);
        throw invalidArgument(
          "conversation",
          "nothing of it is in the cache",
          "Ask something in it first: what gave way to other chats, or was lost with the device, is read again then.",
        );
      });
    } finally {
      place.leave();
      place.giveWay();
    }
  }

  /**
   * Goes on from a file that `save` made, in place of what the cache has seen. Throws bad_cache_file, busy,
   * out_of_memory, aborted, and what the source throws; nothing is changed then.
   */
  async load(source: ByteSource, model: ModelIdentity, signal?: AbortSignal): Promise<void> {
    const { loadChat } = await loadLater("saved chats", () => import("./saved/load-chat.ts"));
    this.checkFree();
    this.running = true;
    this.place.use();
    try {
      await this.core.host.survive(async () => {
        const chat = await loadChat(this.core, source, model, signal);
        this.place.take(chat.sequence, chat.tokens, chat.lastRow);
        this.asked = chat.asked;
        this.request = this.core.withPolicy(chat.asked);
        this.messages = chat.messages;
      });
    } finally {
      this.running = false;
      this.place.leave();
    }
  }

  /** Forgets everything and frees the pages. Throws busy while an answer is being generated. */
  async reset(): Promise<void> {
    this.checkFree();
    this.place.forget();
    this.messages = undefined;
  }

  /**
   * A conversation that has seen the same tokens and shares the pages until either writes to them. Throws
   * busy while an answer is being generated.
   */
  fork(): Conversation {
    this.checkFree();
    const copy = new Conversation(this.core, this.asked, this.place.fork());
    copy.messages = this.messages;
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
    this.place.use();
    try {
      throwIfAborted(options.signal);
      this.checkPrompt(prompt);
      const asked = (): CacheSettings => this.core.settingsOf(this.request);
      this.turn = new Turn(this.core, this.place, asked, prompt, options);
      return yield* this.turn.run();
    } finally {
      this.turn = undefined;
      this.running = false;
      this.place.leave();
    }
  }

  /**
   * Forgets what was seen, runs `tokens` as a prompt (or, with `chunk`, so many at a time; 1: the decode
   * path), and returns the logits [V] of the last.
   */
  async logits(tokens: readonly number[], options: LogitOptions = {}): Promise<Float32Array> {
    const logits = await this.alone(tokens, async (measured) =>
      (await measuring()).measureLogits(measured, tokens, options),
    );
    if (logits.some(Number.isFinite)) return logits;
    throw noNumbers("none of them can be shown");
  }

  /**
   * Forgets what was seen and runs `tokens` in chunks, returning nll[i] = -ln p(tokens[i + 1] | tokens[0..i]).
   * chunk 1 is the decode path (append, evict, attend), larger ones the prompt path (attend, evict).
   */
  async nll(tokens: readonly number[], options: MeasureOptions): Promise<Float64Array> {
    const losses = await this.alone(tokens, async (measured) =>
      (await measuring()).measureLosses(measured, tokens, options),
    );
    if (losses.every(Number.isFinite)) return losses;
    throw noNumbers("they give no perplexity");
  }

  /** Resolves when a step of several tokens is read, or a prompt block is through: ask again then; undefined if none is. */
  private get unsettled(): Promise<void> | undefined {
    return this.turn?.unsettled ?? this.place.unsettled;
  }

  /** Waits while there is one; gives up a cache that stays torn. Throws closed. */
  private async settled(): Promise<void> {
    while (this.unsettled) await this.unsettled;
    this.checkWhole();
  }

  /** Gives up a cache that stays torn. Throws closed. */
  private checkWhole(): void {
    this.core.checkOpen();
    if (this.place.alive?.torn) this.place.forget();
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
    if (tokens.length === 0) throw invalidArgument("prompt", "holds no tokens");
    const wrong = tokens.findIndex(
      (token) => !Number.isInteger(token) || token < 0 || token >= vocabulary,
    );
    if (wrong >= 0)
      throw new WinnowError(
        "invalid_argument",
        `tokens[${wrong}]: ${tokens[wrong]} is not a token id below ${vocabulary}`,
      );
    if (tokens.length > contextLength && !this.endless) {
      throw new WinnowError(
        "context_overflow",
        `the prompt has ${tokens.length} tokens, the model was trained for ${contextLength} positions`,
        {
          hint: "Give the cache a budget, under which a chat has no end, or shorten the prompt.",
          details: { tokens: tokens.length, contextLength },
        },
      );
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
    this.place.use();
    try {
      for (;;) {
        const { result, state, cut } = await this.core.host.survive(async (state) => {
          const settings = this.core.settingsOf(this.request);
          const folds = tokens.length > this.core.config.contextLength;
          await state.runner.compiled({ ...everyStep(settings.policy), folds });
          this.place.open(settings);
          const onRun = (run: readonly number[]) => this.place.seen.push(...run);
          const sequence = this.place.live;
          const result = await work({ state, sequence, onRun });
          return { result, state, cut: await state.runner.compressor.clamped(sequence) };
        });
        if (!(await this.core.widen(state, cut, this.settings))) return result;
      }
    } finally {
      this.running = false;
      this.place.leave();
    }
  }
}

/** Whether heads of some layer may hold less than before. */
const lowers = (before: CacheSettings, after: CacheSettings): boolean =>
  capacityOf(after) < capacityOf(before) || after.wholeLayers < before.wholeLayers;
