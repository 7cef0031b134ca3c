import { asWinnowError, closedError, WinnowError } from "../../errors.ts";
import type { InferenceInfo, InferenceMode } from "../remote-types.ts";
import type {
  ChatCompletionRequest,
  Engine,
  EngineInfo,
  EngineOptions,
  RequestOptions,
} from "../types.ts";
import { type Answered, begun } from "./begun.ts";
import { checkMode } from "./check-remote.ts";
import { deviceFallback, mayAskServer, serverFallback } from "./fallback.ts";
import { localCache, notOnDevice } from "./local-cache.ts";
import { askServer } from "./remote-chat.ts";
import { RemoteServer } from "./remote-server.ts";

type OpenLocal = () => Promise<Engine>;

/** An engine by its `mode` and `remote`. Throws invalid_argument, and what loading throws where no server stands in. */
export async function openHybrid(
  options: Pick<EngineOptions, "mode" | "remote">,
  openLocal: OpenLocal,
): Promise<Engine> {
  const { mode, remote } = checkMode(options.mode, options.remote);
  if (mode === "only-on-device" || !remote) return openLocal();
  const engine = new HybridEngine(mode, new RemoteServer(remote), openLocal);
  if (mode === "prefer-on-device") await engine.begin();
  return engine;
}

/** Chunks after which an answer of this device has begun: who speaks, and something said. */
const BEGUN = 2;

/** Answers here or by a server, as the mode says; whoever has begun an answer ends it. */
class HybridEngine implements Engine {
  readonly chat: Engine["chat"];
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
    const create = (request: ChatCompletionRequest, options?: RequestOptions): Promise<Answered> =>
      this.answer(request, options);
    this.chat = { completions: { create: create as Engine["chat"]["completions"]["create"] } };
    this.cache = localCache(() => this.local);
  }

  /** Loads the model; where that fails for a reason that a server does not share, the server stands in. */
  async begin(): Promise<void> {
    try {
      await this.load();
    } catch (thrown) {
      const error = asWinnowError(thrown);
      if (!mayAskServer(error)) throw error;
      this.fallback = deviceFallback(error);
    }
  }

  calibrate: Engine["calibrate"] = async (options) => {
    if (!this.local) throw notOnDevice("calibrate");
    return this.local.calibrate(options);
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

  private answer(
    request: ChatCompletionRequest,
    options: RequestOptions | undefined,
  ): Promise<Answered> {
    this.checkOpen();
    if (this.mode === "prefer-in-cloud") return this.cloudFirst(request, options);
    if (this.local) return this.deviceFirst(this.local, request, options);
    return askServer(this.server, request, options, this.closed.signal);
  }

  private async deviceFirst(
    local: Engine,
    request: ChatCompletionRequest,
    options: RequestOptions | undefined,
  ): Promise<Answered> {
    try {
      const answer = await askHere(local, request, options);
      this.fallback = undefined;
      return answer;
    } catch (thrown) {
      const error = asWinnowError(thrown);
      if (!mayAskServer(error)) throw error;
      this.fallback = deviceFallback(error);
      // It could not be made anew: the next request need not try.
      if (error.code === "device_lost") this.giveUp(local);
    }
    return askServer(this.server, request, options, this.closed.signal);
  }

  private async cloudFirst(
    request: ChatCompletionRequest,
    options: RequestOptions | undefined,
  ): Promise<Answered> {
    let unreachable: WinnowError;
    try {
      const answer = await askServer(this.server, request, options, this.closed.signal);
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
    return askHere(local, request, options);
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
  request: ChatCompletionRequest,
  options: RequestOptions | undefined,
): Promise<Answered> {
  const answer = await local.chat.completions.create(request, options);
  return Symbol.asyncIterator in answer ? begun(answer, BEGUN) : answer;
}

/** What there is to say of a model elsewhere. */
const infoOf = (name: string): EngineInfo => ({
  model: { name, architecture: "", parameters: 0, contextLength: 0, bytes: 0, sha256: "" },
  adapter: { vendor: "", architecture: "", device: "", description: "", fallback: false },
  features: [],
  kernels: {},
  tuning: {
    mode: "off",
    source: "adapter",
    plan: { row: "", tile: "" },
    timings: [],
    seconds: 0,
  },
  speculative: "off",
  kv: "f16",
  cache: { heads: 0, pairBytes: 0 },
  notices: [],
});
