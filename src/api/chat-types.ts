/** Requests, in the shapes of OpenAI's API. */
import type { ResponseFormat } from "./response-format.ts";

/** A part of a message's content. Only texts are read; others (images, audio, files) are refused by name. */
export interface ContentPart {
  /** "text", or "refusal" in an assistant's message; other kinds are refused. */
  type: string;
  /** The text of a text part. */
  text?: string;
}

/** A call of a tool in the message of an assistant. */
export interface ChatMessageCall {
  /** Names the call in the message that answers it. */
  id: string;
  /** "function"; other kinds are refused. */
  type: string;
  /** What was called. */
  function?: {
    /** The tool. */
    name: string;
    /** JSON of an object, as answers have it; the object itself is taken too. */
    arguments: string | object;
  };
}

/** A message of a chat. An answer's own message is taken as history whatever other fields it has. */
export interface ChatMessage {
  /** Who speaks. "developer" counts as "system". */
  role: "system" | "developer" | "user" | "assistant" | "tool" | "function";
  /** The text, or parts that are joined with nothing in between. An assistant's message may leave it out. */
  content?: string | readonly ContentPart[] | null;
  /** Accepted, without effect: chat templates tell roles apart, not names. */
  name?: string;
  /** In a tool's message: the id of the call whose result it is. */
  tool_call_id?: string;
  /** In an assistant's message: the tools that it called. */
  tool_calls?: readonly ChatMessageCall[];
  /** What an assistant thought before it said that: the chat template shows it to the model where it likes. */
  reasoning_content?: string | null;
  /** What an assistant said in place of `content`. */
  refusal?: string | null;
}

/** A tool in OpenAI's shape. */
export interface FunctionTool {
  /** "function"; other kinds are refused. */
  type: string;
  /** What may be called. */
  function?: {
    /** 1 to 128 letters, digits, "_", "-" and ".". */
    name: string;
    /** What it does: the model decides by this. */
    description?: string;
    /** JSON schema of the arguments, an object. Default: it takes none. */
    parameters?: { [key: string]: unknown };
    /** Accepted, without effect: a schema is always followed. */
    strict?: boolean | null;
  };
}

/** A tool in the shape of WebMCP. */
export interface WebMcpTool {
  /** 1 to 128 letters, digits, "_", "-" and ".". */
  name: string;
  /** What it does: the model decides by this. */
  description?: string;
  /** JSON schema of the arguments, an object. Default: it takes none. */
  inputSchema?: object;
  /** Stays in the page: a request calls nothing by itself. */
  execute?: unknown;
}

/** Whether an answer calls tools, and which. */
export type ToolChoice =
  | "none"
  | "auto"
  | "required"
  | {
      /** "function": the one tool to call. "allowed_tools": those to choose among. Other kinds are refused. */
      type: string;
      /** The tool to call. */
      function?: {
        /** Its name. */
        name: string;
      };
      /** The tools to choose among. */
      allowed_tools?: {
        /** As the words say. */
        mode: "auto" | "required";
        /** Each as { type: "function", function: { name } }. */
        tools: readonly { [key: string]: unknown }[];
      };
    };

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
  /** What the answer's text is held to; a thought comes before it, and is held to nothing. Default: any text. */
  response_format: ResponseFormat;
  /**
   * Whether the answer goes on from the last message, an assistant's, whose text is not said again; a `response_format` holds
   * both together. Default false. Not in OpenAI's API.
   */
  continue_final_message: boolean;
  /**
   * "none": the model does not think; one that its chat template cannot keep from it has its thought closed at once. Any
   * other ("minimal", "low", "medium", "high", "xhigh", "max"): it thinks, where its template can turn that on; how much
   * is up to the template, if it reads the word. Of a model without thoughts "low" and more than "medium" is refused.
   */
  reasoning_effort: string;
  /**
   * Variables for the model's chat template, such as { enable_thinking: false }. One that the template does not read is
   * refused, unless it turns off what the model lacks. Not in OpenAI's API.
   */
  chat_template_kwargs: { readonly [name: string]: unknown };
  /**
   * Most tokens of the thought in front of an answer: it is then closed, and the answer follows. Of no effect on models
   * that do not think. Default: as long as the model likes. Not in OpenAI's API; vLLM's name.
   */
  thinking_token_budget: number;
  /**
   * Whether the answer tells the log probability of each of its tokens (natural logarithm): what the model itself says,
   * before temperature, penalties, biases and formats. Tokens of thoughts are left out. Default false.
   */
  logprobs: boolean;
  /** With `logprobs`: how many of the likeliest tokens are told at each place, from 0 to 20. Default 0. */
  top_logprobs: number;
  /**
   * What is added to the logits of tokens, by their ids in the model's own vocabulary, from -100 to 100; -100 bans a
   * token, 100 draws it before all that have less. What a `response_format` does not allow stays out, and what it alone
   * allows comes.
   */
  logit_bias: { readonly [token: string]: number };
  /**
   * Tools that the answer may call. A call always parses and fits its tool's schema; an answer that calls ends with
   * finish_reason "tool_calls". Schemas that cannot be followed are refused with the error `invalid_argument`.
   */
  tools: readonly (FunctionTool | WebMcpTool)[];
  /** Default "auto": the answer calls what it likes, or nothing. */
  tool_choice: ToolChoice;
  /** Whether an answer may have several calls. Default true, where the model's template knows of several. */
  parallel_tool_calls: boolean;
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
  /**
   * How many answers, from 1 to 8. The prompt is read once; the conversation goes on with the first. Each has a seed of its
   * own, which follows from `seed`; the first one has that. Default 1.
   */
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
}

/** Fields that are accepted if they ask for nothing, and refused by name otherwise. */
interface NeutralFields {
  /** Accepted if it is []. */
  functions: readonly unknown[];
  /** Accepted if it is "none" or "auto". */
  function_call: unknown;
  /** Accepted if it names "text" alone. */
  modalities: readonly string[];
  /** Refused unless null: answers are text. */
  audio: unknown;
  /** Accepted if it is false. */
  store: boolean;
  /** Accepted if it is "auto" or "default". */
  service_tier: string;
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

/** How far a prompt has been read. */
export interface ReadProgress {
  /** Tokens that have been read. */
  readonly read: number;
  /** Tokens of the prompt that the cache had not seen: all that are to be read. */
  readonly total: number;
  /** Estimate of the seconds that the rest takes, from the pace so far; undefined until there is one. */
  readonly secondsLeft: number | undefined;
}

/** What a request takes beside OpenAI's fields. */
export interface RequestOptions {
  /**
   * Gets how far the prompt has been read: when reading begins, then at most some ten times a second, and once it is
   * read (`read` equals `total`), before the answer ends. What it throws stops nothing.
   */
  onProgress?: ((progress: ReadProgress) => void) | null | undefined;
  /**
   * Stops the answer within one token, and the reading of a prompt within 128 tokens, or two layers where it is read
   * layer by layer. Text that was made before still comes, then the error `aborted`. The
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
