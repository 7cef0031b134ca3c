import { type CacheSettings, endless } from "../../cache/budget.ts";
import { type CacheOptions, DEFAULTS, withChange } from "../../cache/cache-options.ts";
import { invalidArgument, loadLater, throwIfAborted, WinnowError } from "../../errors.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import { uncompressedBytes } from "../../model/config.ts";
import type { ChatMessage } from "../../text/types.ts";
import type { EngineCore } from "../core.ts";
import type { LogitOptions, Measured, MeasureOptions } from "../measuring/measure.ts";
import { noNumbers } from "../no-numbers.ts";
import { everyStep } from "../steps/step-needs.ts";
import type { CacheUsage, Retention } from "./cache-usage.ts";
import { checkPrompt } from "./check-prompt.ts";
import type { GenerateOptions, GenerateResult } from "./generate-options.ts";
import { Place } from "./place.ts";
import type { ModelIdentity } from "./saved/chat-record.ts";
import { Turn } from "./turn.ts";

/** Answers never need either. */
const changing = () => loadLater("changes of settings", () => import("./change-settings.ts"));
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
  /** Ends with the change of settings that was asked for last. */
  private changed: Promise<unknown> = Promise.resolve();
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
      bytesOfStates: 0,
    };
    const bytesUncompressed = uncompressedBytes(this.core.config, used.tokensSeen);
    return { ...settings, budgetBytes: this.core.mostBytes(settings), ...used, bytesUncompressed };
  }

  /**
   * Changes budget, policy, window, sinks or whole layers; parts left out stay. Takes effect before the next
   * token. A smaller budget (or fewer whole layers) evicts at once and gives memory back; a larger one keeps
   * what there is. One change is made after another.
   */
  configure(options: CacheOptions): Promise<CacheUsage> {
    const changed = this.changed.then(() => this.change(options));
    this.changed = changed.catch(() => {});
    return changed;
  }

  private async change(options: CacheOptions): Promise<CacheUsage> {
    this.core.checkOpen();
    this.core.checkStorage(options.kv);
    const { changeSettings, checkBudget, sameSettings } = await changing();
    await this.settled();
    const asked = withChange(this.asked, options);
    const request = this.core.withPolicy(asked);
    const settings = this.core.settingsOf(request);
    checkBudget(this.core, settings);
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
      if (sequence && sameSettings(sequence.settings, settings)) return;
      // What could be gone back to is of other settings.
      this.place.forgetMarks();
      if (!sequence) return;
      this.turn?.seal();
      this.place.using(() => changeSettings(runner, sequence, settings));
    });
    this.asked = asked;
    this.request = request;
    return this.usage();
  }

  /** Whether the policy that was asked for would drop pairs, and lacks its calibration. */
  get wantsCalibration(): boolean {
    const { policy = DEFAULTS.policy, budget = DEFAULTS.budget, reread } = this.asked;
    const governed = budget !== "full" && this.core.globalLayers.length > 0;
    return governed && this.core.lacks(policy, reread).length > 0;
  }

  /** Decides anew whether the policy that was asked for can be had: the model's calibration has changed. */
  askAgain(): void {
    this.request = this.core.withPolicy(this.asked);
  }

  /** How many (layer, kv head) pairs, of the layers without a window, still keep each token, with the tokens' text; see Retention. */
  async retention(): Promise<Retention> {
    this.core.checkOpen();
    const { retention } = await loadLater("retention", () => import("./retention.ts"));
    await this.settled();
    return retention(this.core, this.place);
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
    await this.exclusively(() =>
      this.core.host.survive(async () => {
        const { loadChat } = await loadLater("saved chats", () => import("./saved/load-chat.ts"));
        const chat = await loadChat(this.core, source, model, signal);
        this.place.take(chat.sequence, chat.tokens, chat.lastRow);
        this.asked = chat.asked;
        this.request = this.core.withPolicy(chat.asked);
        this.messages = chat.messages;
      }),
    );
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
    const copy = new Conversation(this.core, this.asked, this.place.forkWithMarks());
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
      checkPrompt(prompt, this.core.config, this.endless);
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
  /** What `work` makes of an empty cache that reads `tokens`. */
  private alone<T>(
    tokens: readonly number[],
    work: (measured: Measured) => Promise<T>,
  ): Promise<T> {
    this.checkFree();
    checkPrompt(tokens, this.core.config, this.endless);
    return this.exclusively(async () => {
      const settings = (): CacheSettings => this.core.settingsOf(this.request);
      return (await measuring()).measureAlone(this.core, this.place, settings, tokens, work);
    });
  }

  /** Runs `work` while nothing else may use the chat, and its cache gives way to no other. Throws busy. */
  private async exclusively<T>(work: () => Promise<T>): Promise<T> {
    this.checkFree();
    this.running = true;
    this.place.use();
    try {
      return await work();
    } finally {
      this.running = false;
      this.place.leave();
    }
  }
}
