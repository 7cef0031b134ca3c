/** Answers, in the shapes of OpenAI's API. */
import type { InferenceSource } from "./remote-types.ts";

/**
 * Why an answer ended: the model said so or a stop string came ("stop"), `max_tokens` or the positions ran out ("length"),
 * or it calls tools ("tool_calls").
 */
export type FinishReason = "stop" | "length" | "tool_calls";

/** A call of a tool. */
export interface ToolCall {
  /** Names the call in the message that answers it. */
  id: string;
  /** Always this. */
  type: "function";
  /** What is called. */
  function: {
    /** One of the request's tools. */
    name: string;
    /** JSON. */
    arguments: string;
  };
}

/** What is new of a call: `id`, `type` and the name come once, the arguments piece by piece. */
export interface ToolCallDelta {
  /** Which of the answer's calls it is, from 0. */
  index: number;
  /** On the first piece of a call. */
  id?: string;
  /** On the first piece of a call. */
  type?: "function";
  /** What is called. */
  function?: {
    /** On the first piece of a call. */
    name?: string;
    /** The next characters of the arguments' JSON. */
    arguments?: string;
  };
}

/** A token of an answer and its log probability. */
export interface TokenLogprob {
  /** Its text; "\ufffd" for bytes that are no text by themselves. */
  token: string;
  /** Natural logarithm of its probability; -9999 is as good as never. */
  logprob: number;
  /** Its bytes; null for a control token. */
  bytes: number[] | null;
  /** The likeliest tokens in its place, most likely first. */
  top_logprobs: {
    /** Its text. */
    token: string;
    /** Natural logarithm of its probability. */
    logprob: number;
    /** Its bytes; null for a control token. */
    bytes: number[] | null;
  }[];
}

/** Log probabilities of an answer's tokens. */
export interface ChatLogprobs {
  /** Those of its content, in order. */
  content: TokenLogprob[];
  /** Always null. */
  refusal: null;
}

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
  /** How the answer divides; there if the model thinks. */
  completion_tokens_details?: {
    /** Tokens of the thought in front of the answer, with its markers. */
    reasoning_tokens: number;
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
  /** The request's `model`, else the model's name; a server says its own. */
  model: string;
  /** Where it was made. Not in OpenAI's API. */
  inferenceSource: InferenceSource;
  /** One choice. */
  choices: [
    {
      /** Which of the `n` answers it belongs to. */
      index: number;
      /** What is new. */
      delta: {
        /** On the first chunk. */
        role?: "assistant";
        /** The next characters of the answer. */
        content?: string;
        /** The next characters of the model's thoughts. Not in OpenAI's API. */
        reasoning_content?: string;
        /** What is new of the calls of tools. */
        tool_calls?: ToolCallDelta[];
      };
      /** On the last chunk: why the answer ended. */
      finish_reason: FinishReason | null;
      /** Of the tokens that are new, if the request asks for them. */
      logprobs?: ChatLogprobs;
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
  /** The request's `model`, else the model's name; a server says its own. */
  model: string;
  /** Where it was made. Not in OpenAI's API. */
  inferenceSource: InferenceSource;
  /** As many as `n` says, in the order of their `index`. */
  choices: [ChatChoice, ...ChatChoice[]];
  /** Tokens and speed. */
  usage: Usage;
}

/** One of the answers to a request. */
export interface ChatChoice {
  /** Which one it is, from 0. */
  index: number;
  /** The answer; it may be sent back as a part of the next request's `messages`. */
  message: {
    /** Whose message it is. */
    role: "assistant";
    /** The answer's text; "" where it calls tools and says nothing else. */
    content: string;
    /** The model's thoughts, where it had any. Not in OpenAI's API. */
    reasoning_content?: string;
    /** The tools that it calls; absent where it calls none. */
    tool_calls?: ToolCall[];
    /** Always null. */
    refusal: null;
  };
  /** Why the answer ended. */
  finish_reason: FinishReason;
  /** Null unless the request asks for them. */
  logprobs: ChatLogprobs | null;
}
