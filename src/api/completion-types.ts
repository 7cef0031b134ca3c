/** Texts that are continued, in the shapes of OpenAI's older API. */
import type { Usage } from "./answer-types.ts";
import type { ChatCompletionRequest } from "./chat-types.ts";
import type { InferenceSource } from "./remote-types.ts";

/** Fields that mean what they mean in chats. */
type SharedFields = Pick<
  ChatCompletionRequest,
  | "stream"
  | "stream_options"
  | "max_tokens"
  | "temperature"
  | "top_p"
  | "top_k"
  | "min_p"
  | "repetition_penalty"
  | "frequency_penalty"
  | "presence_penalty"
  | "seed"
  | "stop"
  | "n"
  | "logit_bias"
  | "response_format"
  | "speculative"
  | "model"
  | "user"
>;

/** A request in the shape of OpenAI's completions.create. `max_tokens` is 16 unless it says otherwise, as there. */
export interface TextCompletionRequest extends SharedFields {
  /**
   * A text, its token ids, or a list of such, which are continued one after the other: the choices of prompt p are p n to
   * (p + 1) n - 1. The model's first token comes before a text.
   */
  prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[] | null;
  /** How many of the likeliest tokens are told at each place, from 0 to 20, beside the log probability of each token. */
  logprobs?: number | null;
  /** Accepted if it is `n`: as many answers are made as are given. */
  best_of?: number | null;
  /** Whether each text begins with its prompt, which must be a text then. Not beside `logprobs`. Default false. */
  echo?: boolean | null;
  /** Accepted if it is "". */
  suffix?: string | null;
}

/** Log probabilities of a text's tokens, one list for each thing that is told. */
export interface TextLogprobs {
  /** Texts of the tokens. */
  tokens: string[];
  /** Their log probabilities. */
  token_logprobs: number[];
  /** The likeliest tokens in their places, by their texts. */
  top_logprobs: Record<string, number>[];
  /** Where each token begins in the text that was generated, in characters. */
  text_offset: number[];
}

/** A whole text, or a piece of a stream. */
export interface TextCompletion {
  /** The same for all pieces of a stream. */
  id: string;
  /** What this object is. */
  object: "text_completion";
  /** Seconds since 1970. */
  created: number;
  /** The request's `model`, else the model's name; a server says its own. */
  model: string;
  /** Where it was made. Not in OpenAI's API. */
  inferenceSource: InferenceSource;
  /** As many as `n` says, for each prompt; one in each piece of a stream. */
  choices: [TextChoice, ...TextChoice[]];
  /** On the last piece of a stream, unless `stream_options.include_usage` is false. */
  usage?: Usage;
}

/** One of the texts. */
export interface TextChoice {
  /** Which one it is, from 0. */
  index: number;
  /** What follows the prompt, or the next characters of it. */
  text: string;
  /** Why it ended; null on the pieces of a stream before, which OpenAI's own type leaves out. */
  finish_reason: "stop" | "length";
  /** Null unless the request asks for them. */
  logprobs: TextLogprobs | null;
}

/** A model that the engine has loaded. */
export interface ModelObject {
  /** Its name, as in `engine.info()`. */
  id: string;
  /** What this object is. */
  object: "model";
  /** When it was loaded, in seconds since 1970. */
  created: number;
  /** Always this. */
  owned_by: "winnow";
}

/** The models of an engine: one. Also to be gone through with `for await`. */
export interface ModelPage extends AsyncIterable<ModelObject> {
  /** What this object is. */
  object: "list";
  /** The models. */
  data: ModelObject[];
}
