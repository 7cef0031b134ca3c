import type { CheckedRequest } from "./checks/validate-request.ts";
import type {
  CacheOptions,
  CacheUsage,
  CalibrateOptions,
  CalibrateProgress,
  CalibrationResult,
  DownloadOptions,
  EngineInfo,
  FinishReason,
  LoadedChat,
  LoadProgress,
  MemoryReport,
  ModelSource,
  ReadProgress,
  Retention,
  SelfCalibration,
  TokenLogprob,
  ToolCallDelta,
  Usage,
} from "./types.ts";

/** The types that cross between page and worker, and nothing else: plain data, callbacks proxied by Comlink. */
export interface WireEngineOptions {
  model: ModelSource;
  cache: CacheOptions;
  filters?: string | Uint8Array;
  memoryLimit?: number;
  download?: DownloadOptions;
  speculative?: "off" | "lookup";
  tuning?: "off" | "fast" | "full";
  calibrate?: "auto" | "off";
  /** Base of relative URLs: the page's address, not that of the worker's script. */
  baseUrl?: string;
}

/** The figures that usage() and memory() answer with until the next ones arrive. */
export interface Figures {
  conversation: string;
  usage: CacheUsage;
  memory: MemoryReport;
  /** Figures of conversations whose cache gave way to others'. */
  gaveWay: readonly { conversation: string; usage: CacheUsage }[];
}

/** What is new of an answer: the texts that have grown, and calls of tools. */
export interface AnswerDelta {
  /** Which of the request's answers it belongs to, from 0. */
  index: number;
  content?: string;
  reasoning_content?: string;
  tool_calls?: ToolCallDelta[];
  /** Of the tokens that the content is made of, if they are asked for. */
  logprobs?: TokenLogprob[];
}

/** What one or more new tokens have brought, in order, with the figures after the last of them. */
export interface TokenBatch {
  deltas: AnswerDelta[];
  figures: Figures;
}

/** How the answers ended. */
export interface Completion {
  /** Of each answer, why. */
  finishes: FinishReason[];
  usage: Usage;
  figures: Figures;
  info: EngineInfo;
}

export interface Loaded {
  figures: Figures;
  info: EngineInfo;
}

export type OnBatch = (batch: TokenBatch) => void;
export type OnLoadProgress = (progress: LoadProgress) => void;
export type OnReadProgress = (progress: ReadProgress) => void;
export type OnCalibrateProgress = (progress: CalibrateProgress) => void;

/** A calibration that began by itself: what it is at, and the figures where it changed them. */
export type OnCalibration = (value: { event: SelfCalibration; loaded?: Loaded }) => void;

/** The page's: filters that come with the package, by the model's name. */
export type OwnFilters = (model: string) => Promise<Uint8Array | undefined>;

export type WireCalibrateOptions = Omit<CalibrateOptions, "onProgress" | "signal">;

/** A calibration that is in use, and the figures after it. */
export interface Calibrated extends Loaded {
  result: CalibrationResult;
}

/** A chat that is in the cache again, what it has said, and the settings that its owner named. */
export interface Restored extends Loaded {
  messages: LoadedChat["messages"];
  asked: CacheOptions;
}

/**
 * The worker's side as the page calls it. `call` is an id the page chose; `abort(call)` stops it
 * within one token, and the call then rejects with `aborted`. Whatever a call throws arrives as a WinnowError.
 */
export interface EnginePort {
  load(
    call: number,
    options: WireEngineOptions,
    onProgress: OnLoadProgress,
    onCalibration: OnCalibration,
    ownFilters?: OwnFilters,
  ): Promise<Loaded>;
  complete(
    call: number,
    conversation: string,
    request: CheckedRequest,
    onBatch: OnBatch,
    onProgress?: OnReadProgress,
  ): Promise<Completion>;
  abort(call: number): Promise<void> | void;
  countTokens(request: CheckedRequest): Promise<number>;
  configure(conversation: string, cache: CacheOptions): Promise<Loaded>;
  retention(conversation: string): Promise<Retention>;
  reset(conversation: string): Promise<Figures>;
  fork(from: string, to: string): Promise<Figures>;
  calibrate(
    call: number,
    conversation: string,
    options: WireCalibrateOptions,
    onProgress: OnCalibrateProgress,
  ): Promise<Calibrated>;
  saveChat(call: number, conversation: string): Promise<{ file: Blob; figures: Figures }>;
  loadChat(call: number, conversation: string, source: Blob | string): Promise<Restored>;
  stopCalibration(): Promise<void>;
  close(): Promise<void>;
}
