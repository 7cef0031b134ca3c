import type { EngineInfo as LoadedInfo } from "../engine/engine-info.ts";
import type { StoredModel } from "../fetch/stored-models.ts";
import type { ChatCompletion, ChatCompletionChunk } from "./answer-types.ts";
import type {
  CacheOptions,
  CacheUsage,
  ConversationOptions,
  LoadedChat,
  Retention,
  SavedChat,
  SavedChatOptions,
} from "./cache-types.ts";
import type { CalibrateOptions, CalibrationResult, SelfCalibration } from "./calibration-types.ts";
import type { ChatCompletionRequest, RequestOptions } from "./chat-types.ts";
import type {
  ModelObject,
  ModelPage,
  TextCompletion,
  TextCompletionRequest,
} from "./completion-types.ts";
import type { InferenceInfo, InferenceMode, RemoteOptions } from "./remote-types.ts";

export type * from "./answer-types.ts";
export type * from "./cache-types.ts";
export type * from "./calibration-types.ts";
export type * from "./chat-types.ts";
export type * from "./completion-types.ts";
export type * from "./remote-types.ts";
export type * from "./response-format.ts";
export type { StoredModel };

/** What is loaded, on which adapter, and how it runs. Of a model on a server its name alone is known. */
export interface EngineInfo extends LoadedInfo {
  /** Where requests are answered; there where `mode` or `remote` was given. */
  inference?: InferenceInfo;
}

/**
 * Where a model comes from: a name in models.json, a URL, a file, all files of a model in parts or
 * of a safetensors checkpoint (with config.json and tokenizer.json), or a Hugging Face repository.
 */
export type ModelSource =
  | string
  | Blob
  | readonly Blob[]
  | {
      /** Owner and name of the repository, for example "Qwen/Qwen3-0.6B-GGUF". */
      repo: string;
      /** Path of the file in the repository; for a model in parts that of the first one. */
      file: string;
      /** Branch, tag or commit. Default "main". */
      revision?: string;
    };

/** How far loading has come. */
export interface LoadProgress {
  /** What is being done: finding the file, fetching it, hashing it, moving it to the GPU, compiling kernels, or nothing more. */
  stage: "resolve" | "download" | "verify" | "upload" | "compile" | "ready";
  /** Bytes that are done, in stages that move bytes; else a count. */
  loaded: number;
  /** All that this stage has to do, in the same unit; 0 where a server does not tell how much it sends. */
  total: number;
  /** Why a download pauses; absent as soon as bytes come. */
  waiting?: {
    /**
     * "server": it asked to come back later. "connection": it broke or fell silent, and is tried again. "other": another
     * tab, engine or process fetches the same file.
     */
    readonly for: "server" | "connection" | "other";
    /** How long the pause lasts, where that is known. */
    readonly seconds?: number;
  };
}

/** How a download deals with a poor connection. */
export interface DownloadOptions {
  /** Attempts after a failure, counted anew whenever bytes come. Default 4. */
  retries?: number;
  /** Seconds that a server may send nothing before it is asked again, from the last byte on. Default 30. */
  silence?: number;
}

/** What `createEngine` takes. */
export interface EngineOptions {
  /** Where the model comes from. */
  model: ModelSource;
  /** The cache of conversations that ask for nothing else. */
  cache?: CacheOptions;
  /** Calibrated filters: a URL, or the bytes of a safetensors file. Default: the model's own in models.json. */
  filters?: string | ArrayBufferLike | ArrayBufferView;
  /** GPU bytes that may be used, weights included. Default: what the adapter allows. */
  memoryLimit?: number;
  /**
   * "lookup" (default): where an answer repeats what the conversation holds, one step checks several tokens; the answer
   * is the same. "off": one token per step. A request may say otherwise.
   */
  speculative?: "off" | "lookup";
  /**
   * How kernels are chosen for this adapter. "fast" (default on GPUs) times a few within 2 s at the first load and
   * remembers which won; "full" times more of them within 30 s; "off" (default on software adapters) goes by the
   * adapter's kind.
   */
  tuning?: "off" | "fast" | "full";
  /**
   * "auto" (default in pages): a model whose policy lacks its calibration learns it once, while no request runs, from
   * text that it writes itself, and the browser keeps the result. The calibration steps aside for a request within
   * one step, and asks first if it would take more than three minutes. "off" (default in Node): only
   * `engine.calibrate` calibrates. If `filters` are given, nothing begins by itself.
   */
  calibrate?: "auto" | "off";
  /** Is told how a calibration that begins by itself is getting on. */
  onCalibration?: (event: SelfCalibration) => void;
  /**
   * The worker to run in, with the script `winnow-llm/worker`. Default: one that this package finds by itself. A
   * Worker stays the caller's after `close()`; what a function returns ends with the engine. Pages only.
   */
  worker?: Worker | (() => Worker);
  /**
   * A tokenizer of @huggingface/transformers in place of the built-in one. In a browser the engine then runs in the page
   * itself, since code cannot be sent to a worker.
   */
  tokenizer?: ExternalTokenizer;
  /** Where requests are answered. Default "only-on-device", or "prefer-on-device" if `remote` is given. */
  mode?: InferenceMode;
  /** The server of modes with "cloud" in them, and of what falls back to it. Nothing is sent anywhere without. */
  remote?: RemoteOptions;
  /** How a download deals with a poor connection. */
  download?: DownloadOptions;
  /** Is told how far loading has come. */
  onProgress?: (progress: LoadProgress) => void;
  /** Stops loading; what has arrived of a download is kept. `createEngine` then rejects with `aborted`. */
  signal?: AbortSignal;
}

/** The part of a `@huggingface/transformers` tokenizer that Winnow uses. */
export interface ExternalTokenizer {
  /** The token ids of `text`. */
  encode(text: string, options?: { add_special_tokens?: boolean }): number[];
  /** The text of token ids. */
  decode(ids: number[], options?: { skip_special_tokens?: boolean }): string;
}

/** GPU bytes by purpose. */
export interface MemoryReport {
  /** The model's matrices. */
  weights: number;
  /** Pages, page tables and what the policy must know of heads. */
  kv: number;
  /** What a step computes with. */
  activations: number;
  /** Buffers for reading back. */
  staging: number;
  /** The sum: equals what was allocated on the device. */
  total: number;
}

/** A model that is loaded, and its conversations. Every error that a method throws is a `WinnowError`. */
export interface Engine {
  /** Answers, in OpenAI's shapes. */
  readonly chat: {
    /** Named like OpenAI's client. */
    readonly completions: {
      /**
       * Answers in chunks. Leave the loop, or fire `signal`, to stop within one token.
       * Throws invalid_argument, context_overflow, out_of_memory, device_lost, aborted, closed.
       */
      create(
        request: ChatCompletionRequest & { stream: true },
        options?: RequestOptions,
      ): Promise<AsyncIterable<ChatCompletionChunk>>;
      /** The whole answer at once. Throws the same. */
      create(
        request: ChatCompletionRequest & { stream?: false | null | undefined },
        options?: RequestOptions,
      ): Promise<ChatCompletion>;
      /** Chunks or the whole answer, as `request.stream` says. Throws the same. */
      create(
        request: ChatCompletionRequest,
        options?: RequestOptions,
      ): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion>;
    };
  };
  /** Texts that are continued, without a chat template. Named like OpenAI's client. */
  readonly completions: {
    /** The text in pieces. Throws the same as `chat.completions.create`. */
    create(
      request: TextCompletionRequest & { stream: true },
      options?: RequestOptions,
    ): Promise<AsyncIterable<TextCompletion>>;
    /** The whole text at once. Throws the same. */
    create(
      request: TextCompletionRequest & { stream?: false | null | undefined },
      options?: RequestOptions,
    ): Promise<TextCompletion>;
    /** Pieces or the whole text, as `request.stream` says. Throws the same. */
    create(
      request: TextCompletionRequest,
      options?: RequestOptions,
    ): Promise<AsyncIterable<TextCompletion> | TextCompletion>;
  };
  /** What is loaded. Named like OpenAI's client. */
  readonly models: {
    /** The engine's one model, as a page that can be awaited or gone through with `for await`. */
    list(): Promise<ModelPage> & AsyncIterable<ModelObject>;
  };
  /**
   * How many tokens the prompt of this request has: what `usage.prompt_tokens` would say. The model reads nothing. Throws
   * invalid_argument, closed.
   */
  countTokens(request: ChatCompletionRequest): Promise<number>;
  /** The cache of each conversation. */
  readonly cache: {
    /** The figures of the last token, and the settings in force. Synchronous. */
    usage(options?: ConversationOptions): CacheUsage;
    /**
     * Changes the settings that are named, before the next token, also while an answer streams. A smaller budget evicts at
     * once and frees pages. Resolves once it is in force. Throws invalid_argument, out_of_memory.
     */
    configure(cache: CacheOptions, options?: ConversationOptions): Promise<CacheUsage>;
    /**
     * Reads messages before they are asked about, such as a document, so that the request that begins with them reads only
     * what follows. Takes a request as `create` does, of which the messages and tools matter, and what the template is told.
     * Resolves once it is read, under the budget. Throws invalid_argument, context_overflow, out_of_memory, aborted, closed.
     */
    read(request: ChatCompletionRequest, options?: RequestOptions): Promise<CacheUsage>;
    /** How many heads still keep each token. */
    retention(options?: ConversationOptions): Promise<Retention>;
    /** Forgets the conversation and frees its pages. */
    reset(options?: ConversationOptions): Promise<void>;
    /**
     * What a conversation has read, as one safetensors file with the messages in it: about as large as `usage().bytes`.
     * Waits for an answer that is being generated. Throws invalid_argument where nothing of it is in the cache, aborted.
     */
    save(options?: SavedChatOptions): Promise<Blob>;
    /**
     * Makes a conversation go on from a file that `save` or `winnow read` made, with the settings of that file: the next
     * tokens are those that would have come there, and nothing is read again. Throws bad_cache_file where the file is
     * damaged or belongs to another model, calibration, `kv` or version, network, out_of_memory, aborted; the
     * conversation then stays as it is.
     */
    load(source: SavedChat, options?: SavedChatOptions): Promise<LoadedChat>;
    /** Conversation `to` starts as a copy of `from`; they share pages until they differ. */
    fork(from: string, to: string): Promise<void>;
  };
  /**
   * Learns what policies must know of this model and puts it in use. Conversations go on, and are read again on their
   * next turn. Throws invalid_argument (texts too short), aborted, busy (another calibration runs).
   */
  calibrate(options?: CalibrateOptions): Promise<CalibrationResult>;
  /** Ends a calibration that began by itself; none begins by itself again for this model, also at later loads. */
  stopCalibration(): Promise<void>;
  /** GPU bytes by purpose, as allocated now. */
  memory(): MemoryReport;
  /** What is loaded, on which adapter, and how it runs. */
  info(): EngineInfo;
  /** Ends the worker and frees everything; requests that run end with `closed`. */
  close(): Promise<void>;
}
