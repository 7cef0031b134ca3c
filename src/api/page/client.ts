import { asWinnowError, closedError, loadLater, WinnowError } from "../../errors.ts";
import type { CheckedEngineOptions } from "../checks/validate-engine.ts";
import {
  type CheckedRequest,
  type CheckedRequestOptions,
  checkRequestOptions,
} from "../checks/validate-request.ts";
import type {
  Completion,
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
  CalibrateOptions,
  CalibrationResult,
  ChatCompletionRequest,
  Engine,
  EngineInfo,
  MemoryReport,
  RequestOptions,
  TextCompletionRequest,
} from "../types.ts";
import { type CompletionPort, unixTime } from "./begin-request.ts";
import { cacheCalls } from "./cache-calls.ts";
import { ChatCompletions, checkedRequest } from "./chat-completions.ts";
import { Calls, type Connection } from "./connection.ts";
import { KnownFigures } from "./known-figures.ts";

/** The public Engine, the same over a worker and in one thread: it holds figures, never a GPU. */
export class EngineClient implements Engine, CompletionPort {
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: Engine["completions"];
  readonly models: Engine["models"];
  readonly cache: Engine["cache"];
  private readonly connection: Connection;
  private readonly calls: Calls;
  private readonly known: KnownFigures;
  /** What the user should know of how the engine is reached. */
  private readonly notices: readonly string[];
  private closing: Promise<void> | undefined;

  private constructor(
    connection: Connection,
    cache: CacheOptions,
    loaded: Loaded,
    notices: readonly string[],
  ) {
    this.connection = connection;
    this.notices = notices;
    this.calls = new Calls(connection);
    this.known = new KnownFigures(cache, loaded);
    this.chat = { completions: new ChatCompletions(this) };
    const create = async (request: TextCompletionRequest, options?: RequestOptions) => {
      const asked = checkRequestOptions(options);
      const load = () => import("./text-completions.ts");
      const code = await this.turn(asked, loadLater("text completions", load));
      return code.createText(this, request, asked);
    };
    this.completions = { create } as Engine["completions"];
    this.models = { list: listModel(this.modelName) };
    this.cache = cacheCalls(this.calls, this.known, this);
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
    // Code, which does not cross, is of no use on the other side.
    const { onProgress, onCalibration, signal, tokenizer: _, worker: __, ...given } = options;
    const call = 0;
    const abort = (): void => void connection.port.abort(call);
    try {
      if (signal?.aborted) throw new WinnowError("aborted", "loading was aborted before it began");
      signal?.addEventListener("abort", abort, { once: true });
      const wire = { ...surroundings, ...given };
      const progress = connection.proxy<OnLoadProgress>((value) => tell(onProgress, value));
      let client: EngineClient | undefined;
      const calibration = connection.proxy<OnCalibration>(({ event, loaded }) => {
        if (loaded) client?.known.take(loaded);
        tell(onCalibration, event);
      });
      const packaged = ownFilters && connection.proxy<OwnFilters>(ownFilters);
      const loaded = await Promise.race([
        connection.port.load(call, wire, progress, calibration, packaged),
        connection.failed,
      ]);
      client = new EngineClient(connection, options.cache, loaded, notices);
      return client;
    } catch (error) {
      connection.end();
      throw asWinnowError(error);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  get modelName(): string {
    return this.known.info.model.name;
  }

  turn<T>({ conversation }: CheckedRequestOptions, needs: T | Promise<T>): Promise<T> {
    this.known.lastUsed = conversation;
    return this.calls.turn(needs);
  }

  async complete(
    request: CheckedRequest,
    { conversation, signal, onProgress }: CheckedRequestOptions,
    onBatch: OnBatch,
  ): Promise<Completion> {
    const receive = this.connection.proxy<OnBatch>((batch) => {
      this.known.keep(batch.figures);
      // After an abort too: what was made before it took effect is in the cache, and belongs to the text.
      onBatch(batch);
    });
    const progress =
      onProgress && this.connection.proxy<OnReadProgress>((value) => tell(onProgress, value));
    const completion = await this.calls.sendAbortable("the request", signal, (port, call) =>
      port.complete(call, conversation, request, receive, progress),
    );
    this.known.keep(completion.figures);
    this.known.info = completion.info;
    return completion;
  }

  async countTokens(request: ChatCompletionRequest): Promise<number> {
    const checked = await checkedRequest(request);
    return this.calls.call((port) => port.countTokens(checked));
  }

  async calibrate(options: CalibrateOptions = {}): Promise<CalibrationResult> {
    const { lastUsed } = this.known;
    const load = () => import("../checks/validate-calibrate.ts");
    const code = await this.calls.turn(loadLater("calibration", load));
    const { onProgress, signal, ...wire } = code.checkCalibrateOptions(options);
    const progress = this.connection.proxy<OnCalibrateProgress>((value) => tell(onProgress, value));
    const { result, ...loaded } = await this.calls.sendAbortable(
      "the calibration",
      signal,
      (port, call) => port.calibrate(call, lastUsed, wire, progress),
    );
    this.known.take(loaded);
    return result;
  }

  async stopCalibration(): Promise<void> {
    await this.calls.call((port) => port.stopCalibration());
  }

  memory(): MemoryReport {
    return { ...this.known.memory };
  }

  info(): EngineInfo {
    const { notices, ...info } = structuredClone(this.known.info);
    return { ...info, notices: [...this.notices, ...notices] };
  }

  close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  private async shut(): Promise<void> {
    try {
      const turn = this.calls.turn();
      this.calls.refuse(closedError());
      await turn;
      await Promise.race([this.connection.port.close(), this.connection.failed]);
    } catch (error) {
      throw asWinnowError(error);
    } finally {
      this.connection.end();
      this.calls.end(closedError());
    }
  }
}

/** The one model, as a page of a list that can be awaited or gone through. */
function listModel(id: string): Engine["models"]["list"] {
  const model = { id, object: "model", created: unixTime(), owned_by: "winnow" } as const;
  async function* each() {
    yield { ...model };
  }
  const iterable = { [Symbol.asyncIterator]: each };
  return () => {
    const page = { object: "list" as const, data: [{ ...model }], ...iterable };
    return Object.assign(Promise.resolve(page), iterable);
  };
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
