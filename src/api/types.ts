/**
 * Where a model comes from: a name in models.json, a URL, a file, all files of a model in parts or
 * of a safetensors checkpoint (with config.json and tokenizer.json), or a Hugging Face repository.
 */
export type ModelSource =
  | string
  | Blob
  | readonly Blob[]
  | { repo: string; file: string; revision?: string };

/** full = never evict. The others keep `budget` pairs a kv head. */
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

/** How the cache holds keys and values: 2 bytes a value, 1 byte and a scale a vector, or 4 bytes. */
export type KvStorage = "f16" | "q8" | "f32";

export interface CacheOptions {
  /** Key-value pairs kept per kv head, or "full". Default 512. */
  budget?: number | "full";
  /** Default "winnow"; without what it needs calibrated another steps in, and `info().notices` says so. */
  policy?: PolicyName;
  /** Most recent tokens that are never evicted. Default 64, of winnow 24, of lag-kv 128; less in small budgets. */
  window?: number;
  /** First tokens that are never evicted. Default 4. */
  sinks?: number;
  /** The first so many layers are not compressed: they keep every pair, beside the others' budget. Default 0. */
  wholeLayers?: number;
  /**
   * Storage of keys and values, chosen when the engine is made. Default "f16", and "f32" once the model is seen
   * to make keys or values larger than f16 holds; `info().notices` says so.
   */
  kv?: KvStorage;
}

/** Stage of loading; `loaded` and `total` are bytes where the stage moves bytes, else counts. */
export interface LoadProgress {
  stage: "resolve" | "download" | "verify" | "upload" | "compile" | "ready";
  loaded: number;
  total: number;
}

export interface EngineOptions {
  model: ModelSource;
  cache?: CacheOptions;
  /** Calibrated filters: a URL, or the bytes of a safetensors file. Default: the model's own in models.json. */
  filters?: string | ArrayBufferLike | ArrayBufferView;
  /** GPU bytes that may be used, weights included. Default: what the adapter allows. */
  memoryLimit?: number;
  /**
   * "lookup" (default): where an answer repeats what the conversation holds, several tokens are checked in one step;
   * the answer is the same. "off": one token a step. A request may say otherwise.
   */
  speculative?: "off" | "lookup";
  /**
   * How kernels are chosen for this adapter: "fast" (default on GPUs) measures within 2 s at the first load and
   * remembers, "full" measures more within 30 s; "off" (default on software adapters) goes by the adapter's kind.
   */
  tuning?: "off" | "fast" | "full";
  /**
   * "auto" (default in pages): a model whose policy lacks its calibration learns it once, from text that it writes
   * itself, while no request runs, and keeps it in this browser. It steps aside for requests within one step, and
   * asks first where it would take more than three minutes. "off" (default in Node): only `engine.calibrate` does.
   * Never where `filters` are given.
   */
  calibrate?: "auto" | "off";
  /** What a calibration that begins by itself is at. */
  onCalibration?: (event: SelfCalibration) => void;
  /** A tokenizer of @huggingface/transformers in place of the built-in one (Node or in-page engines). */
  tokenizer?: ExternalTokenizer;
  onProgress?: (progress: LoadProgress) => void;
  signal?: AbortSignal;
}

/** The part of a `@huggingface/transformers` tokenizer that Winnow uses. */
export interface ExternalTokenizer {
  encode(text: string, options?: { add_special_tokens?: boolean }): number[];
  decode(ids: number[], options?: { skip_special_tokens?: boolean }): string;
}

/** A part of a message's content. Only texts are read; others (images, audio, files) are refused by name. */
export interface ContentPart {
  type: string;
  text?: string;
}

/**
 * A message of a chat. An answer's own message is taken as history whatever other fields it has; `tool_calls` that are
 * not empty are refused.
 */
export interface ChatMessage {
  /** developer: as system. */
  role: "system" | "developer" | "user" | "assistant" | "tool" | "function";
  /** Parts are joined with nothing in between. Of an assistant it may be left out. */
  content?: string | readonly ContentPart[] | null;
  /** Taken, and of no effect: chat templates tell roles apart, not names. */
  name?: string;
  /** Taken, and of no effect. */
  tool_call_id?: string;
  /** What an assistant said in place of a content. */
  refusal?: string | null;
}

/** null: as if left out. */
type OrNull<T> = { [K in keyof T]?: T[K] | null | undefined };

interface RequestFields {
  stream: boolean;
  /** Default: up to the end of the model's positions. */
  max_tokens: number;
  /** The present name of max_tokens; where both are given the lower one counts. */
  max_completion_tokens: number;
  /** 0 = greedy. Default 0.7. */
  temperature: number;
  /** 0 = greedy. Default 1. */
  top_p: number;
  top_k: number;
  min_p: number;
  repetition_penalty: number;
  frequency_penalty: number;
  presence_penalty: number;
  /**
   * Same seed, same prompt, same cache settings: same answer on the same adapter. An integer up to 2^53 - 1; -1, the
   * default: a random one.
   */
  seed: number;
  stop: string | string[];
  /** Default: the engine's. Not of OpenAI's API. */
  speculative: "off" | "lookup";
  /** Only `{ include_usage }`; usage is on the last chunk by default. */
  stream_options: { include_usage?: boolean | null; include_obfuscation?: boolean | null };
  /** Accepted and echoed. */
  model: string;
  /** Only 1. */
  n: number;
}

/** Accepted, and of no effect here. */
interface LabelFields {
  user: string;
  metadata: Record<string, string>;
  safety_identifier: string;
  prompt_cache_key: string;
  prompt_cache_options: object;
  prompt_cache_retention: string;
  parallel_tool_calls: boolean;
}

/** Accepted where they ask for nothing, as `tools: []` or `logprobs: false`; else refused by name. */
interface NeutralFields {
  tools: readonly unknown[];
  /** "none" or "auto". */
  tool_choice: unknown;
  functions: readonly unknown[];
  /** "none" or "auto". */
  function_call: unknown;
  /** `{ type: "text" }`. */
  response_format: { type: string };
  logprobs: boolean;
  top_logprobs: number;
  logit_bias: Record<string, number>;
  modalities: readonly string[];
  audio: unknown;
  store: boolean;
  /** "auto" or "default". */
  service_tier: string;
  /** "medium". */
  reasoning_effort: string;
  /** "medium". */
  verbosity: string;
  prediction: unknown;
  moderation: unknown;
  web_search_options: unknown;
}

/**
 * OpenAI's chat.completions.create: requests typed by the `openai` package are taken. What asks for something that
 * this engine cannot do is refused, never passed over.
 */
export interface ChatCompletionRequest
  extends OrNull<RequestFields>,
    OrNull<LabelFields>,
    OrNull<NeutralFields> {
  messages: readonly ChatMessage[];
}

export type FinishReason = "stop" | "length";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  extra: {
    prefill_tokens_per_s: number;
    decode_tokens_per_s: number;
    time_to_first_token_s: number;
  };
}

export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: [
    {
      index: 0;
      delta: { role?: "assistant"; content?: string };
      finish_reason: FinishReason | null;
    },
  ];
  usage?: Usage;
}

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: [
    {
      index: 0;
      message: { role: "assistant"; content: string; refusal: null };
      finish_reason: FinishReason;
      logprobs: null;
    },
  ];
  usage: Usage;
}

export interface RequestOptions {
  /**
   * Stops within one token; text made before that still comes, then the error `aborted`. The
   * conversation stays usable.
   */
  signal?: AbortSignal | null | undefined;
  /**
   * Whose cache answers. Requests of one conversation queue; what its cache has seen is not
   * prefilled again. Default "default". Any number of conversations may be named: caches of those that answer nothing
   * give way, the one used longest ago first, where all together take more than 512 MiB, the memoryLimit or what the
   * adapter binds; a chat whose cache gave way is read again on its next request.
   */
  conversation?: string | null | undefined;
  /** Accepted, and of no effect here. */
  maxRetries?: number | null | undefined;
  /** Accepted, and of no effect here. */
  idempotencyKey?: string | null | undefined;
}

/** Which conversation a cache call means. Default: the one last used. */
export interface ConversationOptions {
  conversation?: string;
}

/** What a conversation holds and has dropped, and its settings with every default decided. */
export interface CacheUsage {
  budget: number | "full";
  /** The policy in use, which is another than the one asked for where the model lacks its calibration. */
  policy: PolicyName;
  /** Most recent tokens that are never evicted: what was asked for, else the policy's own, resolved for this budget. */
  window: number;
  /** First tokens that are never evicted. */
  sinks: number;
  /** The first layers that keep every pair. */
  wholeLayers: number;
  /** Tokens the conversation has put through the model. */
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

/** For each token of the conversation: how many of the `heads` (layers x kv heads) still keep it. */
export interface Retention {
  heads: number;
  /** Text of each token seen, in order. */
  tokens: string[];
  /** kept[i] in 0..heads. */
  kept: number[];
}

export interface MemoryReport {
  /** GPU bytes by purpose. */
  weights: number;
  kv: number;
  activations: number;
  staging: number;
  /** Sum of the above: equals what was allocated on the device. */
  total: number;
}

export interface EngineInfo {
  model: {
    name: string;
    architecture: string;
    parameters: number;
    contextLength: number;
    bytes: number;
    sha256: string;
  };
  adapter: {
    vendor: string;
    architecture: string;
    device: string;
    description: string;
    fallback: boolean;
  };
  features: string[];
  /** Kernel name -> variant in use. */
  kernels: Record<string, string>;
  /** How the kernels of the weight products were chosen, and what each took where that was measured. */
  tuning: {
    mode: "off" | "fast" | "full";
    source: "adapter" | "measured" | "remembered";
    plan: { row: string; tile: string };
    timings: readonly { variant: string; ms: number }[];
    seconds: number;
  };
  /** What requests do that do not say; "off" also where the model's shape rules it out. */
  speculative: "off" | "lookup";
  /** Storage of keys and values. */
  kv: KvStorage;
  /** Things the user should know, e.g. a fallback policy. */
  notices: string[];
}

/** What a calibration reads, and what becomes of it. */
export interface CalibrateOptions {
  /** Texts of `samples` tokens or more in all. Default: text that the model writes itself, from prompts of ours. */
  texts?: readonly string[];
  /** Queries a head. Default 3,000, or 1,024 where the model writes its own text. */
  samples?: number;
  /** Of the sampling, and of the model's own text. Default 0. */
  seed?: number;
  /** Kept in this browser (in Node: on this disk) and found again by the next createEngine. Default true. */
  keep?: boolean;
  onProgress?: (progress: CalibrateProgress) => void;
  /** Stops within one prompt chunk or one head; nothing changes then. */
  signal?: AbortSignal;
}

/**
 * "writing": tokens of the model's own text; "queries": rows read, summed over layers; "filters": layers
 * solved; "install": the result is put in use.
 */
export interface CalibrateProgress {
  stage: "writing" | "queries" | "filters" | "install";
  loaded: number;
  total: number;
}

/** What a calibration that begins by itself is at. */
export type SelfCalibration =
  /** For requests to end, and a while longer. */
  | { state: "waiting" }
  | { state: "running"; progress: CalibrateProgress }
  /** It would take that long, and is left to `engine.calibrate`. */
  | { state: "asking"; seconds: number }
  /** By `engine.stopCalibration`: it does not begin by itself again for this model. */
  | { state: "stopped" }
  | { state: "done"; result: CalibrationResult }
  | { state: "failed"; message: string };

export interface CalibrationResult {
  /** Layers that the budget governs. */
  layers: number;
  kvHeads: number;
  headDim: number;
  /** Queries a head that were used, of `tokens` that were read. */
  samples: number;
  tokens: number;
  /** [layers][kvHeads]: the filter's part of the queries' summed squares. */
  explained: number[][];
  /** A safetensors file, as `filters` of createEngine and `winnow --filters` take it. */
  file: Uint8Array<ArrayBuffer>;
  /** Whether the next createEngine will find it. */
  kept: boolean;
}

export interface Engine {
  readonly chat: {
    readonly completions: {
      create(
        request: ChatCompletionRequest & { stream: true },
        options?: RequestOptions,
      ): Promise<AsyncIterable<ChatCompletionChunk>>;
      create(
        request: ChatCompletionRequest & { stream?: false | null | undefined },
        options?: RequestOptions,
      ): Promise<ChatCompletion>;
      create(
        request: ChatCompletionRequest,
        options?: RequestOptions,
      ): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion>;
    };
  };
  readonly cache: {
    /** Synchronous: the figures of the last token. */
    usage(options?: ConversationOptions): CacheUsage;
    /** Takes effect before the next token, also while an answer streams. */
    configure(cache: CacheOptions, options?: ConversationOptions): Promise<CacheUsage>;
    retention(options?: ConversationOptions): Promise<Retention>;
    /** Forgets the conversation and frees its pages. */
    reset(options?: ConversationOptions): Promise<void>;
    /** Conversation `to` starts as a copy of `from`; they share pages until they differ. */
    fork(from: string, to: string): Promise<void>;
  };
  /**
   * Learns the filters of this model, and what other policies need, and puts them in use: conversations go
   * on, and are read again on their next turn. Throws invalid_argument (texts too short), aborted, busy.
   */
  calibrate(options?: CalibrateOptions): Promise<CalibrationResult>;
  /** Stops one that began by itself, or would: also at the next load of this model. */
  stopCalibration(): Promise<void>;
  memory(): MemoryReport;
  info(): EngineInfo;
  close(): Promise<void>;
}
