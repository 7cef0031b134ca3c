import type { StoredModel } from "../fetch/stored-models.ts";

export type { StoredModel };

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

/** The rule that decides which pairs are kept. "full" drops nothing; the others keep `budget` pairs per kv head. */
export type PolicyName =
  | "winnow"
  | "full"
  | "q-filters"
  | "q-filters-age"
  | "tri-attention"
  | "expected-attention"
  | "keydiff"
  | "lag-kv"
  | "k-norm"
  | "snapkv"
  | "h2o"
  | "streaming-llm"
  | "random";

/** How the cache holds keys and values: 2 bytes per value, 1 byte per value and a scale per vector, or 4 bytes per value. */
export type KvStorage = "f16" | "q8" | "f32";

/** How much of a chat the cache keeps, and what decides it. */
export interface CacheOptions {
  /** Key-value pairs that are kept per kv head, as a mean over heads, or "full". Default 512. */
  budget?: number | "full";
  /**
   * Default "winnow". If the model lacks the calibration that a policy needs, another policy steps in and
   * `info().notices` says so.
   */
  policy?: PolicyName;
  /**
   * Most recent tokens that are never evicted. Default 24 for "winnow", 128 for "lag-kv", 64 for the others; at most
   * half of the budget, and a quarter for "lag-kv".
   */
  window?: number;
  /** First tokens that are never evicted. Default 4. */
  sinks?: number;
  /** How many of the first layers are not compressed: they keep every pair, beside the others' budget. Default 0. */
  wholeLayers?: number;
  /**
   * Storage of keys and values; it cannot change after the engine is made. Default "f16", and "f32" once the model is
   * seen to make keys or values larger than f16 holds; `info().notices` says so.
   */
  kv?: KvStorage;
}

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

/** A part of a message's content. Only texts are read; others (images, audio, files) are refused by name. */
export interface ContentPart {
  /** "text", or "refusal" in an assistant's message; other kinds are refused. */
  type: string;
  /** The text of a text part. */
  text?: string;
}

/**
 * A message of a chat. An answer's own message is taken as history whatever other fields it has; `tool_calls` that are
 * not empty are refused.
 */
export interface ChatMessage {
  /** Who speaks. "developer" counts as "system". */
  role: "system" | "developer" | "user" | "assistant" | "tool" | "function";
  /** The text, or parts that are joined with nothing in between. An assistant's message may leave it out. */
  content?: string | readonly ContentPart[] | null;
  /** Accepted, without effect: chat templates tell roles apart, not names. */
  name?: string;
  /** Accepted, without effect. */
  tool_call_id?: string;
  /** What an assistant said in place of `content`. */
  refusal?: string | null;
}

/** Every field may be left out; null says the same. */
type OrNull<T> = { [K in keyof T]?: T[K] | null | undefined };

interface RequestFields {
  /** Whether the answer comes in chunks. Default false. */
  stream: boolean;
  /** Most tokens of the answer. Default: up to the end of the model's positions. */
  max_tokens: number;
  /** OpenAI's newer name of `max_tokens`; if both are given, the lower one counts. */
  max_completion_tokens: number;
  /** How freely tokens are drawn; 0 takes the likeliest each time. From 0 to 5, default 0.7. */
  temperature: number;
  /** Draws among the likeliest tokens that together have this probability; 0 takes the likeliest. Default 1. */
  top_p: number;
  /** Draws among so many of the likeliest tokens. Default: all. */
  top_k: number;
  /** Draws among tokens that are at least so many times as likely as the likeliest. Default 0. */
  min_p: number;
  /** Divides logits of tokens that came before, in the prompt or the answer. From 0.01 to 10, default 1: off. */
  repetition_penalty: number;
  /** Lowers a token's logit by this for each time that the answer has it. From -2 to 2, default 0. */
  frequency_penalty: number;
  /** Lowers a token's logit by this once the answer has it. From -2 to 2, default 0. */
  presence_penalty: number;
  /**
   * The same seed, prompt and cache settings give the same answer on the same adapter. An integer up to 2^53 - 1.
   * Default -1: a random one.
   */
  seed: number;
  /** The answer ends before the first of these strings. */
  stop: string | string[];
  /** Whether guesses may be checked, as in `createEngine`. Default: the engine's. Not in OpenAI's API. */
  speculative: "off" | "lookup";
  /** What a stream carries besides text. */
  stream_options: {
    /** Whether the last chunk has `usage`. Default true. */
    include_usage?: boolean | null;
    /** Accepted if it is false. */
    include_obfuscation?: boolean | null;
  };
  /** Accepted and echoed. */
  model: string;
  /** Only 1: one answer. */
  n: number;
}

/** Fields that say something about a request and ask for nothing. */
interface LabelFields {
  /** Accepted, without effect. */
  user: string;
  /** Accepted, without effect. */
  metadata: Record<string, string>;
  /** Accepted, without effect. */
  safety_identifier: string;
  /** Accepted, without effect. */
  prompt_cache_key: string;
  /** Accepted, without effect. */
  prompt_cache_options: object;
  /** Accepted, without effect. */
  prompt_cache_retention: string;
  /** Accepted, without effect. */
  parallel_tool_calls: boolean;
}

/** Fields that are accepted if they ask for nothing, and refused by name otherwise. */
interface NeutralFields {
  /** Accepted if it is []. */
  tools: readonly unknown[];
  /** Accepted if it is "none" or "auto". */
  tool_choice: unknown;
  /** Accepted if it is []. */
  functions: readonly unknown[];
  /** Accepted if it is "none" or "auto". */
  function_call: unknown;
  /** Accepted if it is `{ type: "text" }`. */
  response_format: {
    /** Only "text". */
    type: string;
  };
  /** Accepted if it is false. */
  logprobs: boolean;
  /** Accepted if it is 0. */
  top_logprobs: number;
  /** Accepted if every bias is 0. */
  logit_bias: Record<string, number>;
  /** Accepted if it names "text" alone. */
  modalities: readonly string[];
  /** Refused unless null: answers are text. */
  audio: unknown;
  /** Accepted if it is false. */
  store: boolean;
  /** Accepted if it is "auto" or "default". */
  service_tier: string;
  /** Accepted if it is "medium". */
  reasoning_effort: string;
  /** Accepted if it is "medium". */
  verbosity: string;
  /** Refused unless null. */
  prediction: unknown;
  /** Refused unless null. */
  moderation: unknown;
  /** Refused unless null. */
  web_search_options: unknown;
}

/**
 * A request in the shape of OpenAI's chat.completions.create; requests typed by the `openai` package are taken. A field
 * that asks for something that this engine cannot do is refused, never ignored.
 */
export interface ChatCompletionRequest
  extends OrNull<RequestFields>,
    OrNull<LabelFields>,
    OrNull<NeutralFields> {
  /** The chat so far, at least one message. */
  messages: readonly ChatMessage[];
}

/** Why an answer ended: the model said so or a stop string came ("stop"), or `max_tokens` or the positions ran out ("length"). */
export type FinishReason = "stop" | "length";

/** Tokens and speed of one request. */
export interface Usage {
  /** Tokens of the prompt, cached ones included. */
  prompt_tokens: number;
  /** Tokens of the answer. */
  completion_tokens: number;
  /** The sum of both. */
  total_tokens: number;
  /** How the prompt divides. */
  prompt_tokens_details: {
    /** Tokens of the prompt that the cache had seen, which were not read again. */
    cached_tokens: number;
  };
  /** Figures that OpenAI's API does not have. */
  extra: {
    /** Prompt tokens per second, cached ones left out. */
    prefill_tokens_per_s: number;
    /** Answer tokens per second. */
    decode_tokens_per_s: number;
    /** Seconds from the request to the first token. */
    time_to_first_token_s: number;
  };
}

/** A piece of a streamed answer, in OpenAI's shape. */
export interface ChatCompletionChunk {
  /** The same for all chunks of an answer. */
  id: string;
  /** What this object is. */
  object: "chat.completion.chunk";
  /** Seconds since 1970. */
  created: number;
  /** The request's `model`, else the model's name. */
  model: string;
  /** One choice. */
  choices: [
    {
      /** Always 0. */
      index: 0;
      /** What is new. */
      delta: {
        /** On the first chunk. */
        role?: "assistant";
        /** The next characters of the answer. */
        content?: string;
      };
      /** On the last chunk: why the answer ended. */
      finish_reason: FinishReason | null;
    },
  ];
  /** On the last chunk, unless `stream_options.include_usage` is false. */
  usage?: Usage;
}

/** A whole answer, in OpenAI's shape. */
export interface ChatCompletion {
  /** A new one for each answer. */
  id: string;
  /** What this object is. */
  object: "chat.completion";
  /** Seconds since 1970. */
  created: number;
  /** The request's `model`, else the model's name. */
  model: string;
  /** One choice. */
  choices: [
    {
      /** Always 0. */
      index: 0;
      /** The answer; it may be sent back as a part of the next request's `messages`. */
      message: {
        /** Whose message it is. */
        role: "assistant";
        /** The answer's text. */
        content: string;
        /** Always null. */
        refusal: null;
      };
      /** Why the answer ended. */
      finish_reason: FinishReason;
      /** Always null. */
      logprobs: null;
    },
  ];
  /** Tokens and speed. */
  usage: Usage;
}

/** What a request takes beside OpenAI's fields. */
export interface RequestOptions {
  /**
   * Stops the answer within one token. Text that was made before still comes, then the error `aborted`. The
   * conversation stays usable.
   */
  signal?: AbortSignal | null | undefined;
  /**
   * Name of the conversation whose cache answers. Requests of one conversation queue; what its cache has seen is not
   * read again. Default "default".
   *
   * Any number of conversations may be named. If all caches together take more than 512 MiB, `memoryLimit` or what the
   * adapter binds, caches of conversations that answer nothing give way, the one used longest ago first. A chat whose
   * cache gave way is read again on its next request.
   */
  conversation?: string | null | undefined;
  /** Accepted, without effect. */
  maxRetries?: number | null | undefined;
  /** Accepted, without effect. */
  idempotencyKey?: string | null | undefined;
}

/** Which conversation a cache call means. */
export interface ConversationOptions {
  /** The name that requests give it. Default: the conversation last used. */
  conversation?: string;
}

/** What a conversation holds and has dropped, and its settings with every default decided. */
export interface CacheUsage {
  /** Pairs kept per kv head, as a mean over heads. */
  budget: number | "full";
  /** The policy in use; another one than was asked for, if the model lacks its calibration. */
  policy: PolicyName;
  /** Most recent tokens that are never evicted: what was asked for, else the policy's own for this budget. */
  window: number;
  /** First tokens that are never evicted. */
  sinks: number;
  /** How many of the first layers keep every pair. */
  wholeLayers: number;
  /** Tokens that the conversation has put through the model. */
  tokensSeen: number;
  /** Pairs held now, summed over layers and kv heads. */
  pairsKept: number;
  /** Pairs dropped so far, summed over layers and kv heads. */
  pairsEvicted: number;
  /** Bytes of the pages in use: keys, values, positions, scores, and the page tables. */
  bytes: number;
  /** What an uncompressed f16 cache of `tokensSeen` tokens would hold. */
  bytesUncompressed: number;
}

/** Which tokens of a conversation are still kept, and by how many heads. */
export interface Retention {
  /** How many heads there are: layers times kv heads. */
  heads: number;
  /** Text of each token seen, in order. */
  tokens: string[];
  /** kept[i], from 0 to `heads`: how many heads still keep token i. */
  kept: number[];
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

/** What is loaded, on which adapter, and how it runs. */
export interface EngineInfo {
  /** The model, as its file describes it. */
  model: {
    /** Its name. */
    name: string;
    /** Its family, by GGUF's name: llama, qwen3, gemma3 and so on. */
    architecture: string;
    /** How many weights it has. */
    parameters: number;
    /** How many positions it was trained for, in tokens. */
    contextLength: number;
    /** Size of its file. */
    bytes: number;
    /** Hash of its file, in lower-case hex. */
    sha256: string;
  };
  /** The adapter, in WebGPU's words. */
  adapter: {
    /** Who made it. */
    vendor: string;
    /** Its generation. */
    architecture: string;
    /** Its model, if the browser tells. */
    device: string;
    /** Its name, if the browser tells. */
    description: string;
    /** Whether it is a software adapter on the processor. */
    fallback: boolean;
  };
  /** WebGPU features in use. */
  features: string[];
  /** Kernel name -> variant in use. */
  kernels: Record<string, string>;
  /** How the kernels of the weight products were chosen. */
  tuning: {
    /** What `createEngine` was asked for. */
    mode: "off" | "fast" | "full";
    /** Whether the adapter's kind decided, a measurement of this load, or one that was remembered. */
    source: "adapter" | "measured" | "remembered";
    /** The kernels that were chosen. */
    plan: {
      /** For one row of activations. */
      row: string;
      /** For many rows. */
      tile: string;
    };
    /** What each kernel took; empty if nothing was measured. */
    timings: readonly {
      /** The kernel. */
      variant: string;
      /** Milliseconds. */
      ms: number;
    }[];
    /** How long measuring took. */
    seconds: number;
  };
  /** Default for requests that do not set `speculative`; "off" also if the model's shape rules guesses out. */
  speculative: "off" | "lookup";
  /** Storage of keys and values. */
  kv: KvStorage;
  /** What the user should know and is no error: that another policy stepped in, for example. */
  notices: string[];
}

/** What a calibration reads, and where its result goes. */
export interface CalibrateOptions {
  /** Texts of `samples` tokens or more in all. Default: text that the model writes itself. */
  texts?: readonly string[];
  /** Queries sampled per head. Default 3,000, or 1,024 if the model writes its own text. */
  samples?: number;
  /** Seed of the sampling, and of the model's own text. Default 0. */
  seed?: number;
  /** Keeps the result in this browser (in Node: on this disk) for the next `createEngine`. Default true. */
  keep?: boolean;
  /** Is told how far the calibration has come. */
  onProgress?: (progress: CalibrateProgress) => void;
  /** Stops within one prompt chunk or one head; nothing changes then. */
  signal?: AbortSignal;
}

/** How far a calibration has come. */
export interface CalibrateProgress {
  /**
   * "writing": the model writes text; "queries": texts are read; "filters": heads are solved; "install": the result
   * is put in use.
   */
  stage: "writing" | "queries" | "filters" | "install";
  /** What is done of `total`: tokens written, rows read summed over layers, or layers solved. */
  loaded: number;
  /** All that this stage has to do. */
  total: number;
}

/** How a calibration that begins by itself is getting on. */
export type SelfCalibration =
  | {
      /** It waits for requests to end, and two seconds longer. */
      state: "waiting";
    }
  | {
      /** It runs. */
      state: "running";
      /** How far it has come. */
      progress: CalibrateProgress;
    }
  | {
      /** It would take more than three minutes, so it is left to `engine.calibrate`. */
      state: "asking";
      /** How long it would take. */
      seconds: number;
    }
  | {
      /** `engine.stopCalibration` was called: it does not begin by itself again for this model. */
      state: "stopped";
    }
  | {
      /** It is done, and in use. */
      state: "done";
      /** What it has found. */
      result: CalibrationResult;
    }
  | {
      /** It failed; chats go on as before. */
      state: "failed";
      /** What went wrong. */
      message: string;
    };

/** What a calibration has found. */
export interface CalibrationResult {
  /** Layers that the budget governs. */
  layers: number;
  /** Kv heads per layer. */
  kvHeads: number;
  /** Dimensions of a head. */
  headDim: number;
  /** Queries per head that were used. */
  samples: number;
  /** Tokens that were read. */
  tokens: number;
  /** [layers][kvHeads]: the filter's share of the queries' summed squares, from 0 to 1. */
  explained: number[][];
  /** A safetensors file, as `filters` of `createEngine` and `winnow --filters` take it. */
  file: Uint8Array & {
    /** Not shared memory, so that it fits a Blob. */
    readonly buffer: ArrayBuffer;
  };
  /** Whether the next `createEngine` will find it. */
  kept: boolean;
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
  /** The cache of each conversation. */
  readonly cache: {
    /** The figures of the last token, and the settings in force. Synchronous. */
    usage(options?: ConversationOptions): CacheUsage;
    /**
     * Changes the settings that are named, before the next token, also while an answer streams. A smaller budget evicts at
     * once and frees pages. Resolves once it is in force. Throws invalid_argument, out_of_memory.
     */
    configure(cache: CacheOptions, options?: ConversationOptions): Promise<CacheUsage>;
    /** How many heads still keep each token. */
    retention(options?: ConversationOptions): Promise<Retention>;
    /** Forgets the conversation and frees its pages. */
    reset(options?: ConversationOptions): Promise<void>;
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
