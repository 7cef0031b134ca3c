import type { Chat } from "./chat.ts";
import { asDomException, destroyedError } from "./errors.ts";
import { type ReadPrompt, readPrompt } from "./read-prompt.ts";
import { type ReadConstraint, readConstraint, withNote } from "./response-constraint.ts";
import { linkSignals, SessionQueue } from "./session-queue.ts";
import type { PromptInput, PromptOptions, SamplingMode, SignalOptions } from "./types.ts";

/** What only `create` and `clone` have. */
export interface SessionParts {
  readonly chat: Chat;
  /** Makes a session of the same class. */
  readonly make: (chat: Chat) => PromptSession;
  /** Destroys the session when it fires. */
  readonly signal?: AbortSignal | undefined;
}

/** Hands its parts to the constructor, which nobody else may call. */
export const PARTS: unique symbol = Symbol("winnow-llm: parts of a session");

/** A session of the Prompt API. What its methods reject with are the DOMExceptions and TypeErrors that the API names. */
export class PromptSession extends EventTarget {
  readonly #chat: Chat;
  readonly #make: SessionParts["make"];
  readonly #queue = new SessionQueue();
  readonly #destruction = new AbortController();
  readonly #handlers = new Map<string, ((event: Event) => void) | null>();

  /** Throws: sessions come from `create`. */
  constructor(parts?: { [PARTS]: SessionParts }) {
    super();
    const given = parts?.[PARTS];
    if (!given) throw new TypeError("Illegal constructor");
    this.#chat = given.chat;
    this.#make = given.make;
    const { signal } = given;
    signal?.addEventListener("abort", () => this.#destroy(signal.reason), { once: true });
    for (const type of ["contextoverflow", "quotaoverflow"])
      this.addEventListener(type, (event) => this.#handlers.get(type)?.call(this, event));
  }

  /** Answers as a whole. Prompts of a session queue. */
  async prompt(input: PromptInput, options: PromptOptions = {}): Promise<string> {
    return this.#prompt(readAsked(input, options), options.signal);
  }

  /**
   * Answers in pieces. Throws where the signal has fired, the session is destroyed or the input is malformed; other errors
   * come through the stream.
   */
  promptStreaming(input: PromptInput, options: PromptOptions = {}): ReadableStream<string> {
    const asked = readAsked(input, options);
    const { signal, abort, unlink } = linkSignals(this.#destruction.signal, options.signal);
    signal.throwIfAborted();
    return new ReadableStream<string>({
      start: (controller) => {
        this.#prompt(asked, signal, (text) => controller.enqueue(text))
          .then(() => controller.close())
          .catch((error) => controller.error(error))
          .finally(unlink);
      },
      cancel: (reason) => abort(reason),
    });
  }

  /** Adds messages that are not answered; the model reads them with the next prompt. */
  async append(input: PromptInput, options: SignalOptions = {}): Promise<undefined> {
    const { messages } = readPrompt(input);
    await this.#run(options.signal, (signal) =>
      this.#chat.append(messages, this.#onOverflow, signal),
    );
  }

  /** Tokens that an input would add to the context. */
  async measureContextUsage(input: PromptInput, options: PromptOptions = {}): Promise<number> {
    const { messages } = readAsked(input, options).prompt;
    return this.#unqueued(options.signal, () => this.#chat.measure(messages));
  }

  /** A session that goes on from the same messages; neither changes the other. */
  async clone(options: SignalOptions = {}): Promise<this> {
    const chat = await this.#unqueued(options.signal, () => this.#chat.clone());
    return this.#make(chat) as this;
  }

  /** Ends what is under way and frees the cache; calls then reject with InvalidStateError. */
  destroy(): undefined {
    this.#destroy(destroyedError());
  }

  /** Tokens of all messages so far. */
  get contextUsage(): number {
    return this.#chat.usage;
  }

  /** Tokens that the context holds: Infinity under a budget, where the cache drops what is worth least. */
  get contextWindow(): number {
    return this.#chat.window;
  }

  /** Is called when the oldest messages have made room for others, which happens without a budget alone. */
  get oncontextoverflow(): ((event: Event) => void) | null {
    return this.#handlers.get("contextoverflow") ?? null;
  }

  /** Takes the place of the handler before. */
  set oncontextoverflow(handler: ((event: Event) => void) | null) {
    this.#handlers.set("contextoverflow", handler);
  }

  /** How freely the session draws; null where `temperature` and `topK` say so. */
  get samplingMode(): SamplingMode | null {
    return this.#chat.options.sampling.samplingMode;
  }

  /** The temperature in force. */
  get temperature(): number {
    return this.#chat.options.sampling.temperature;
  }

  /** The topK in force. */
  get topK(): number {
    return this.#chat.options.sampling.topK;
  }

  /** The older name of `measureContextUsage`. */
  measureInputUsage(input: PromptInput, options: PromptOptions = {}): Promise<number> {
    return this.measureContextUsage(input, options);
  }

  /** The older name of `contextUsage`. */
  get inputUsage(): number {
    return this.contextUsage;
  }

  /** The older name of `contextWindow`. */
  get inputQuota(): number {
    return this.contextWindow;
  }

  /** The older name of `oncontextoverflow`, with an event of its own. */
  get onquotaoverflow(): ((event: Event) => void) | null {
    return this.#handlers.get("quotaoverflow") ?? null;
  }

  /** Takes the place of the handler before. */
  set onquotaoverflow(handler: ((event: Event) => void) | null) {
    this.#handlers.set("quotaoverflow", handler);
  }

  #prompt(
    asked: ReturnType<typeof readAsked>,
    signal: AbortSignal | undefined,
    onText?: (text: string) => void,
  ): Promise<string> {
    return this.#run(signal, (linked) => {
      // Nothing is said behind an abort.
      const onPiece = (text: string): void => {
        if (!linked.aborted) onText?.(text);
      };
      const more = { signal: linked, onText: onPiece, onOverflow: this.#onOverflow };
      return this.#chat.prompt({ ...asked, ...more });
    });
  }

  async #run<T>(
    signal: AbortSignal | undefined,
    job: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const link = linkSignals(this.#destruction.signal, signal);
    const work = (): Promise<T> => job(link.signal).catch(rethrow);
    return this.#queue.run(link.signal, work).finally(link.unlink);
  }

  /** What waits for no prompt. */
  async #unqueued<T>(signal: AbortSignal | undefined, job: () => Promise<T>): Promise<T> {
    const link = linkSignals(this.#destruction.signal, signal);
    return new SessionQueue().run(link.signal, () => job().catch(rethrow)).finally(link.unlink);
  }

  readonly #onOverflow = (): void => {
    for (const type of ["contextoverflow", "quotaoverflow"]) this.dispatchEvent(new Event(type));
  };

  #destroy(reason: unknown): void {
    if (this.#destruction.signal.aborted) return;
    this.#destruction.abort(reason);
    // An engine that is gone has freed it.
    this.#chat.end().catch(() => {});
  }
}

/** What is asked and what of it holds for the answer. Throws what the API throws for malformed input. */
function readAsked(
  input: unknown,
  options: PromptOptions,
): { prompt: ReadPrompt; constraint: ReadConstraint | undefined } {
  const constraint = readConstraint(options);
  return { prompt: withNote(readPrompt(input), constraint?.note), constraint };
}

function rethrow(error: unknown): never {
  throw asDomException(error);
}
