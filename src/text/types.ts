/** Text <-> token ids. Implementations must agree with `transformers` on ordinary text. */
export interface Tokenizer {
  readonly vocabSize: number;
  /** Ids after which an answer ends (eos, end of turn). */
  readonly endTokens: ReadonlySet<number>;
  /**
   * Ids that the model expects in front of a text that is no chat: its first token (bos), or none. Never part
   * of what `encode` gives; chat templates write their own.
   */
  readonly prefix: readonly number[];
  /** What of the file's vocabulary was passed over, one sentence each. */
  readonly notices?: readonly string[];
  /**
   * Ids of `text`, nothing added in front or behind. With `special: false` (the default) control
   * tokens spelled out in the text are ordinary characters; `special: true` parses them.
   */
  encode(text: string, options?: { special?: boolean }): number[];
  /** Text of `ids`; control tokens are left out unless `special: true`. Invalid UTF-8 becomes U+FFFD. */
  decode(ids: readonly number[], options?: { special?: boolean }): string;
  /** Raw bytes of one token (empty for control tokens): what a streaming decoder needs. */
  tokenBytes(id: number): Uint8Array;
}

export interface ChatMessage {
  role: "system" | "user" | "assistant" | "tool";
  content: string;
  /** What the assistant thought before; templates show it where they like. */
  reasoning_content?: string;
  /** What the assistant called. */
  tool_calls?: readonly MessageCall[];
  /** Which call a tool's result answers, and the name of what was called. */
  tool_call_id?: string;
  name?: string;
  /** Results of the calls of this message, for templates that want them there. */
  tool_responses?: readonly { readonly name: string; readonly response: unknown }[];
  /** JSON of the tools, for templates that want them in the system message. */
  tools?: string;
}

/** A call of a tool, as templates take it. */
export interface MessageCall {
  readonly id: string;
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly arguments: Readonly<Record<string, unknown>>;
  };
}

/** How a chat is rendered. */
export interface RenderOptions {
  /** Whether the beginning of an answer comes last. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables of the template, as plain data. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** The model's own chat template. */
export interface ChatTemplate {
  /** Its text. */
  readonly source: string;
  /** Texts that end an answer: ends of a turn that the template writes and that no token stands for. */
  readonly stop: readonly string[];
  /** The prompt as text (control tokens spelled out), equal to `apply_chat_template(tokenize=False)`. */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
  /**
   * The prompt as ids, with the model's first token (bos) once where texts begin with it. Control tokens come from the
   * template alone: the same spelling inside a message's content stays ordinary text, and so do tags that the template
   * writes around texts (`<tool_response>`) where users or tools spell them.
   */
  encode(messages: readonly ChatMessage[], tokenizer: Tokenizer, options?: RenderOptions): number[];
}
