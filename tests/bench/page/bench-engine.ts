/** What crosses between the bench and an engine's page. */

export interface BenchMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

/** One turn of a chat. */
export interface TurnRequest {
  conversation: string;
  /** The whole chat, its last message the user's. */
  messages: BenchMessage[];
  /** The same chat as the model's template renders it. */
  prompt: string;
  /** The end of `prompt` that this turn adds after the last answer; all of it in the first turn. */
  added: string;
  /** Tokens before all that, whose keys and values are made up. Default 0. */
  filled?: number;
  /** Tokens to generate. */
  tokens: number;
  /** Pairs a head that the cache may hold; engines that know only "full" refuse others. */
  budget: number | "full";
}

export interface TurnResult {
  text: string;
  promptTokens: number;
  completionTokens: number;
  /** From the call to the first token. */
  firstTokenMs: number;
  /** From the first token to the last. */
  decodeMs: number;
}

/** Calls of WebGPU since the page was opened, the engine's workers included where they could be wrapped. */
export interface GpuCounts {
  dispatches: number;
  submits: number;
  buffersCreated: number;
  bindGroupsCreated: number;
  /** Bytes of buffers created and not destroyed. */
  liveBytes: number;
  peakBytes: number;
}

export interface BenchEngine {
  /** Loads the model, from the browser's storage where it is there, until it could answer. */
  load(): Promise<void>;
  /** What really computes: adapter or processor, as the engine itself says. */
  backend(): Promise<string>;
  version(): string;
  turn(request: TurnRequest): Promise<TurnResult>;
  /** Forgets every conversation. */
  reset(): Promise<void>;
  /** Calls of WebGPU; undefined where the engine runs in a worker that could not be wrapped. */
  counts(): Promise<GpuCounts | undefined>;
  /** Bytes of WebAssembly memory on the page's side. */
  wasmBytes(): number;
}

/** Where the page finds what it loads; relative to its own address. */
export interface EngineUrls {
  model: string;
  filters: string;
}

declare global {
  function openBenchEngine(name: string, urls: EngineUrls): Promise<void>;
  var benchEngine: BenchEngine;
}
