import { asWinnowError, closedError, WinnowError } from "../../errors.ts";
import type { InferenceInfo, InferenceMode } from "../remote-types.ts";
import type {
  Engine,
  EngineInfo,
  EngineOptions,
  ModelObject,
  ModelPage,
  RequestOptions,
  StoredModel,
} from "../types.ts";
import { whereIs } from "../where-is.ts";
import { type Answered, type Asked, begun } from "./begun.ts";
import { checkMode } from "./check-remote.ts";
import { infoOf, listOf } from "./elsewhere.ts";
import { DOWNLOADING, deviceFallback, mayAskServer, serverFallback } from "./fallback.ts";
import { localCache, notOnDevice } from "./local-cache.ts";
import { askServer } from "./remote-chat.ts";
import { RemoteServer } from "./remote-server.ts";

type OpenLocal = () => Promise<Engine>;

/**
 * An engine by its `mode` and `remote`. `list`: the models that are stored. Throws invalid_argument, and what loading throws
 * where no server stands in.
 */
export async function openHybrid(
  options: Pick<EngineOptions, "mode" | "remote" | "model">,
  openLocal: OpenLocal,
  list: () => Promise<StoredModel[]>,
): Promise<Engine> {
  const { mode, remote } = checkMode(options.mode, options.remote);
  if (mode === "only-on-device" || !remote) return openLocal();
  const engine = new HybridEngine(mode, new RemoteServer(remote), openLocal);
  if (mode === "prefer-on-device") {
    // Where it cannot be told, the model is waited for.
    const place = await whereIs(options.model, list).catch(() => "here");
    await engine.begin(place === "here");
  }
  return engine;
}

/** Pieces after which an answer of this device has begun: who speaks, and something said; or something said. */
const BEGUN = { chat: 2, text: 1 };

/** Answers here or by a server, as the mode says; whoever has begun an answer ends it. */
class HybridEngine implements Engine {
  readonly chat: Engine["chat"];
  readonly completions: Engine["completions"];
  readonly models: Engine["models"];
  readonly cache: Engine["cache"];
  private readonly mode: InferenceMode;
  private readonly server: RemoteServer;
  private readonly openLocal: OpenLocal;
  private local: Engine | undefined;
  private loading: Promise<Engine> | undefined;
  private fallback: InferenceInfo["fallback"];
  private readonly closed = new AbortController();

  constructor(mode: InferenceMode, server: RemoteServer, openLocal: OpenLocal) {
    this.mode = mode;
    this.server = server;
    this.openLocal = openLocal;
    const asks =
      (kind: Asked["kind"]) =>
      async (request: unknown, options?: RequestOptions): Promise<Answered> =>
        this.answer({ kind, request } as Asked, options);
    this.chat = { completions: { create: asks("chat") } as Engine["chat"]["completions"] };
    this.completions = { create: asks("text") } as Engine["completions"];
    this.models = { list: () => listOf(() => this.modelsThere()) };
    this.cache = localCache(() => this.local);
  }

  /**
   * Loads the model; where that fails for a reason that a server does not share, the server stands in. A model that must be
   * downloaded first is not waited for: the server answers meanwhile.
   */
  async begin(stored: boolean): Promise<void> {
    if (!stored) this.fallback = DOWNLOADING;
    const loading = this.load().then(
      () => {
        this.fallback = undefined;
      },
      (thrown) => {
        const error = asWinnowError(thrown);
        this.fallback = deviceFallback(error);
        if (stored && !mayAskServer(error)) throw error;
      },
    );
    if (stored) await loading;
  }

  calibrate: Engine["calibrate"] = async (options) => {
    if (!this.local) throw notOnDevice("calibrate");
    return this.local.calibrate(options);
  };

  countTokens: Engine["countTokens"] = async (request) => {
    this.checkOpen();
    if (!this.local) throw notOnDevice("countTokens");
    return this.local.countTokens(request);
  };

  async stopCalibration(): Promise<void> {
    await this.local?.stopCalibration();
  }

  memory(): ReturnType<Engine["memory"]> {
    return this.local?.memory() ?? { weights: 0, kv: 0, activations: 0, staging: 0, total: 0 };
  }

  info(): EngineInfo {
    const { mode, fallback } = this;
    const onDevice = mode === "prefer-on-device" && this.local !== undefined;
    const inference: InferenceInfo = {
      mode,
      source: onDevice ? "on_device" : "in_cloud",
      ...(fallback && { fallback: { ...fallback } }),
    };
    return { ...(this.local?.info() ?? infoOf(this.server.model)), inference };
  }

  async close(): Promise<void> {
    this.closed.abort();
    await (await this.loading?.catch(() => undefined))?.close();
  }

  private answer(asked: Asked, options: RequestOptions | undefined): Promise<Answered> {
    this.checkOpen();
    if (this.mode === "prefer-in-cloud") return this.cloudFirst(asked, options);
    if (this.local) return this.deviceFirst(this.local, asked, options);
    return askServer(this.server, asked, options, this.closed.signal);
  }

  private async deviceFirst(
    local: Engine,
    asked: Asked,
    options: RequestOptions | undefined,
  ): Promise<Answered> {
    try {
      const answer = await askHere(local, asked, options);
      this.fallback = undefined;
      return answer;
    } catch (thrown) {
      const error = asWinnowError(thrown);
      if (!mayAskServer(error)) throw error;
      this.fallback = deviceFallback(error);
      // It could not be made anew: the next request need not try.
      if (error.code === "device_lost") this.giveUp(local);
    }
    return askServer(this.server, asked, options, this.closed.signal);
  }

  private async cloudFirst(asked: Asked, options: RequestOptions | undefined): Promise<Answered> {
    let unreachable: WinnowError;
    try {
      const answer = await askServer(this.server, asked, options, this.closed.signal);
      this.fallback = undefined;
      return answer;
    } catch (thrown) {
      unreachable = asWinnowError(thrown);
      if (unreachable.code !== "network") throw unreachable;
      this.fallback = serverFallback(unreachable);
    }
    let local: Engine;
    try {
      local = await this.load();
    } catch (cause) {
      const message = `${unreachable.message}; and on this device: ${asWinnowError(cause).message}`;
      throw new WinnowError("network", message, { hint: unreachable.hint, cause });
    }
    this.checkOpen();
    return askHere(local, asked, options);
  }

  /** The models where the next request goes first. */
  private async modelsThere(): Promise<ModelObject[]> {
    this.checkOpen();
    if (this.mode === "prefer-on-device" && this.local)
      return (await this.local.models.list()).data;
    return ((await this.server.json("/models", this.closed.signal)) as ModelPage).data;
  }

  /** The engine of this device, loaded once; after a failure it is tried again. */
  private async load(): Promise<Engine> {
    this.loading ??= this.openLocal();
    try {
      this.local = await this.loading;
      return this.local;
    } catch (error) {
      this.loading = undefined;
      throw error;
    }
  }

  private giveUp(local: Engine): void {
    this.local = undefined;
    this.loading = undefined;
    local.close().catch(() => {});
  }

  private checkOpen(): void {
    if (this.closed.signal.aborted) throw closedError();
  }
}

async function askHere(
  local: Engine,
  asked: Asked,
  options: RequestOptions | undefined,
): Promise<Answered> {
  const answer: Answered = await (asked.kind === "chat"
    ? local.chat.completions.create(asked.request, options)
    : local.completions.create(asked.request, options));
  return Symbol.asyncIterator in answer ? begun(answer, BEGUN[asked.kind]) : answer;
}
