import { withChange } from "../../cache/budget.ts";
import { asWinnowError, closedError, WinnowError } from "../../errors.ts";
import { checkString } from "../checks/check.ts";
import {
  checkCacheOptions,
  checkConversationOptions,
  checkSavedChat,
  checkSavedChatOptions,
} from "../checks/validate-cache.ts";
import { checkCalibrateOptions } from "../checks/validate-calibrate.ts";
import type { CheckedEngineOptions } from "../checks/validate-engine.ts";
import { type CheckedRequest, DEFAULT_CONVERSATION } from "../checks/validate-request.ts";
import type {
  Completion,
  EnginePort,
  Figures,
  Loaded,
  OnBatch,
  OnCalibrateProgress,
  OnCalibration,
  OnLoadProgress,
  OnReadProgress,
  OwnFilters,
  WireEngineOptions,
} from "../protocol.ts";
import type {
  CacheOptions,
  CacheUsage,
  CalibrateOptions,
  CalibrationResult,
  ConversationOptions,
  Engine,
  EngineInfo,
  LoadedChat,
  MemoryReport,
  Retention,
  SavedChat,
  SavedChatOptions,
} from "../types.ts";
import { ChatCompletions, type CompleteOptions, type CompletionPort } from "./chat-completions.ts";
import { Calls, type Connection } from "./connection.ts";

/** The public Engine, the same over a worker and in one thread: it holds figures, never a GPU. */
export class EngineClient implements Engine, CompletionPort {
  readonly chat: { readonly completions: ChatCompletions };
  readonly cache: Engine["cache"];
  private readonly connection: Connection;
  private readonly usages = new Map<string, CacheUsage>();
  private readonly cacheOptions: CacheOptions;
  private readonly configured = new Map<string, CacheOptions>();
  private lastUsed = DEFAULT_CONVERSATION;
  private lastMemory: MemoryReport;
  private lastInfo: EngineInfo;
  /** What the user should know of how the engine is reached. */
  private readonly notices: readonly string[];
  /** What `usage()` says of a conversation that has seen nothing. */
  private readonly unused: CacheUsage;
  private nextCall = 1;
  private readonly calls: Calls;
  private closing: Promise<void> | undefined;

  private constructor(
    connection: Connection,
    cache: CacheOptions,
    loaded: Loaded,
    notices: readonly string[],
  ) {
    this.notices = notices;
    this.connection = connection;
    this.calls = new Calls(connection);
    this.cacheOptions = cache;
    this.lastInfo = loaded.info;
    this.lastMemory = loaded.figures.memory;
    this.unused = loaded.figures.usage;
    this.chat = { completions: new ChatCompletions(this) };
    this.cache = {
      usage: (options) => this.usage(options),
      configure: (cache, options) => this.configure(cache, options),
      retention: (options) => this.retention(options),
      reset: (options) => this.reset(options),
      fork: (from, to) => this.fork(from, to),
      save: (options) => this.saveChat(options),
      load: (source, options) => this.loadChat(source, options),
    };
  }

  /** Loads through the port; ends the connection when that fails. */
  static async open(
    connection: Connection,
    options: CheckedEngineOptions,
    {
      ownFilters,
      notices = [],
      ...surroundings
    }: Pick<WireEngineOptions, "baseUrl" | "calibrate"> & {
      ownFilters?: OwnFilters;
      notices?: readonly string[];
    },
  ): Promise<EngineClient> {
    const {
      model,
      cache,
      filters,
      memoryLimit,
      download,
      speculative,
      tuning,
      calibrate,
      onProgress,
      signal,
    } = options;
    const call = 0;
    const abort = (): void => void connection.port.abort(call);
    try {
      if (signal?.aborted) throw new WinnowError("aborted", "loading was aborted before it began");
      signal?.addEventListener("abort", abort, { once: true });
      const wire = {
        model,
        cache,
        ...(filters === undefined ? {} : { filters }),
        ...(memoryLimit === undefined ? {} : { memoryLimit }),
        ...(download === undefined ? {} : { download }),
        ...(speculative === undefined ? {} : { speculative }),
        ...(tuning === undefined ? {} : { tuning }),
        ...surroundings,
        ...(calibrate === undefined ? {} : { calibrate }),
      };
      const progress = connection.proxy<OnLoadProgress>((value) => tell(onProgress, value));
      let client: EngineClient | undefined;
      const calibration = connection.proxy<OnCalibration>(({ event, loaded }) => {
        if (loaded) client?.take(loaded);
        tell(options.onCalibration, event);
      });
      const packaged = ownFilters && connection.proxy<OwnFilters>(ownFilters);
      const loaded = await Promise.race([
        connection.port.load(call, wire, progress, calibration, packaged),
        connection.failed,
      ]);
      client = new EngineClient(connection, cache, loaded, notices);
      return client;
    } catch (error) {
      connection.end();
      throw asWinnowError(error);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  get modelName(): string {
    return this.lastInfo.model.name;
  }

  async complete(
    request: CheckedRequest,
    { conversation, signal, onProgress }: CompleteOptions,
    onBatch: OnBatch,
  ): Promise<Completion> {
    this.lastUsed = conversation;
    const receive = this.connection.proxy<OnBatch>((batch) => {
      this.keep(batch.figures);
      // After an abort too: what was made before it took effect is in the cache, and belongs to the text.
      onBatch(batch);
    });
    const progress =
      onProgress && this.connection.proxy<OnReadProgress>((value) => tell(onProgress, value));
    const completion = await this.abortable("the request", signal, (port, call) =>
      port.complete(call, conversation, request, receive, progress),
    );
    this.keep(completion.figures);
    this.lastInfo = completion.info;
    return completion;
  }

  async calibrate(options: CalibrateOptions = {}): Promise<CalibrationResult> {
    const { onProgress, signal, ...wire } = checkCalibrateOptions(options);
    const progress = this.connection.proxy<OnCalibrateProgress>((value) => tell(onProgress, value));
    const { result, ...loaded } = await this.abortable("the calibration", signal, (port, call) =>
      port.calibrate(call, this.lastUsed, wire, progress),
    );
    this.take(loaded);
    return result;
  }

  async stopCalibration(): Promise<void> {
    await this.call((port) => port.stopCalibration());
  }

  memory(): MemoryReport {
    return { ...this.lastMemory };
  }

  info(): EngineInfo {
    const { notices, ...info } = structuredClone(this.lastInfo);
    return { ...info, notices: [...this.notices, ...notices] };
  }

  close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  private async shut(): Promise<void> {
    try {
      await Promise.race([this.connection.port.close(), this.connection.failed]);
    } catch (error) {
      throw asWinnowError(error);
    } finally {
      this.connection.end();
      this.calls.end(closedError());
    }
  }

  private usage(options?: ConversationOptions): CacheUsage {
    const { conversation = this.lastUsed } = checkConversationOptions(options);
    return { ...(this.usages.get(conversation) ?? this.unused) };
  }

  private async configure(cache: CacheOptions, options?: ConversationOptions): Promise<CacheUsage> {
    const { conversation = this.lastUsed } = checkConversationOptions(options);
    const current = this.cacheOf(conversation);
    const checked = checkCacheOptions(cache, current);
    const loaded = await this.call((port) => port.configure(conversation, checked));
    this.configured.set(conversation, withChange(current, checked));
    this.take(loaded);
    return { ...loaded.figures.usage };
  }

  private retention(options?: ConversationOptions): Promise<Retention> {
    const { conversation = this.lastUsed } = checkConversationOptions(options);
    return this.call((port) => port.retention(conversation));
  }

  private async reset(options?: ConversationOptions): Promise<void> {
    const { conversation = this.lastUsed } = checkConversationOptions(options);
    this.keep(await this.call((port) => port.reset(conversation)));
  }

  private async fork(from: string, to: string): Promise<void> {
    checkString("from", from);
    checkString("to", to);
    if (from === to)
      throw new WinnowError("invalid_argument", `to: must differ from from ("${from}")`);
    this.keep(await this.call((port) => port.fork(from, to)));
    this.configured.set(to, this.cacheOf(from));
  }

  private async saveChat(options?: SavedChatOptions): Promise<Blob> {
    const { conversation = this.lastUsed, signal } = checkSavedChatOptions(options);
    const { file, figures } = await this.abortable("saving", signal, (port, call) =>
      port.saveChat(call, conversation),
    );
    this.keep(figures);
    return file;
  }

  private async loadChat(source: SavedChat, options?: SavedChatOptions): Promise<LoadedChat> {
    const { conversation = this.lastUsed, signal } = checkSavedChatOptions(options);
    const checked = checkSavedChat(source);
    const { messages, asked, ...loaded } = await this.abortable("loading", signal, (port, call) =>
      port.loadChat(call, conversation, checked),
    );
    this.configured.set(conversation, asked);
    this.take(loaded);
    return { messages, usage: { ...loaded.figures.usage } };
  }

  private cacheOf(conversation: string): CacheOptions {
    return this.configured.get(conversation) ?? this.cacheOptions;
  }

  private take({ figures, info }: Loaded): void {
    this.keep(figures);
    this.lastInfo = info;
  }

  private keep(figures: Figures): void {
    for (const { conversation, usage } of [...figures.gaveWay, figures])
      this.usages.set(conversation, usage);
    this.lastMemory = figures.memory;
  }

  /** Throws closed, and what the worker died of. */
  checkOpen(): void {
    if (this.closing) throw closedError();
    this.calls.checkOpen();
  }

  /** A call that `signal` stops; `what` is for the message where it has fired already. */
  private async abortable<T>(
    what: string,
    signal: AbortSignal | undefined,
    send: (port: EnginePort, call: number) => Promise<T>,
  ): Promise<T> {
    if (signal?.aborted) throw new WinnowError("aborted", `${what} was aborted before it began`);
    const call = this.nextCall++;
    const abort = (): void => void this.connection.port.abort(call);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await this.call((port) => send(port, call));
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  private async call<T>(send: (port: EnginePort) => Promise<T>): Promise<T> {
    this.checkOpen();
    return this.calls.call(send);
  }
}

function tell<T>(callback: ((value: T) => void) | undefined, value: T): void {
  try {
    callback?.(value);
  } catch (error) {
    // The caller's own error: shown where it belongs, and no reason to stop what is under way.
    queueMicrotask(() => {
      throw error;
    });
  }
}
