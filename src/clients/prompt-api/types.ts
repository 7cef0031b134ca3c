/** The dictionaries of the Prompt API (https://webmachinelearning.github.io/prompt-api). */

/** How freely a session draws, from the likeliest tokens alone to the most varied ones. */
export type SamplingMode =
  | "most-predictable"
  | "predictable"
  | "slightly-predictable"
  | "balanced"
  | "slightly-creative"
  | "creative"
  | "most-creative";

/** A part of a message. Texts are read; "image" and "audio" are refused with NotSupportedError. */
export interface MessageContent {
  /** What kind of part it is. */
  type: "text" | "image" | "audio" | "tool-call" | "tool-response";
  /** Of a text its characters. */
  value: unknown;
}

/** A message of a session. */
export interface PromptMessage {
  /** Who speaks; "system" as the very first message alone. */
  role: "system" | "user" | "assistant";
  /** Its text, or parts that are joined with nothing in between. */
  content: string | MessageContent[];
  /** Of the last message, an assistant's: the answer goes on from its text. Default false. */
  prefix?: boolean;
}

/** What is asked: a user's text, or messages. */
export type PromptInput = string | PromptMessage[];

/** A kind of input or output, and its languages. */
export interface Expected {
  /** Only "text", and the two of tools, are to be had. */
  type: MessageContent["type"];
  /** BCP 47 tags. Which languages a model knows is its own affair: each one that exists is accepted. */
  languages?: string[];
}

/** A function that the model may call. */
export interface PromptTool {
  /** What the model calls it; no two tools of a session share a name. */
  name: string;
  /** What it does. */
  description: string;
  /** JSON schema of its arguments, of the type "object". */
  inputSchema: object;
  /** Called with the arguments; its result is told to the model. What it throws rejects the prompt. */
  execute: (input: never) => Promise<string> | string;
}

/** What `availability` looks at. */
export interface CreateCoreOptions {
  /** What will be put in. Default: text. */
  expectedInputs?: Expected[];
  /** What shall come out. Default: text. */
  expectedOutputs?: Expected[];
  /** Functions that the model may call. */
  tools?: PromptTool[];
  /** How freely it draws. Default "balanced". Not beside `temperature` and `topK`. */
  samplingMode?: SamplingMode;
  /** From 0, the higher the freer; beside `topK` alone. */
  temperature?: number;
  /** Draws among so many of the likeliest tokens, from 1; beside `temperature` alone. */
  topK?: number;
}

/** Where `downloadprogress` is listened to. */
export type CreateMonitor = EventTarget & {
  /** The same as a listener of "downloadprogress". */
  ondownloadprogress: ((event: Event) => void) | null;
};

/** What `create` takes. */
export interface CreateOptions extends CreateCoreOptions {
  /** What the session begins with; never evicted. A system message comes first. */
  initialPrompts?: PromptMessage[];
  /** Gets an event target that tells of the download. */
  monitor?: (monitor: CreateMonitor) => void;
  /** Ends the creation, and later destroys the session. */
  signal?: AbortSignal;
}

/** What `prompt` takes beside its input. */
export interface PromptOptions {
  /** A JSON schema, or a regular expression that the whole answer matches. */
  responseConstraint?: object;
  /** Whether the model is not told of it. Default false: it is, behind the last message. */
  omitResponseConstraintInput?: boolean;
  /** Ends the answer; the session is then as it was before. */
  signal?: AbortSignal;
}

/** What `append` and `clone` take. */
export interface SignalOptions {
  /** Ends it. */
  signal?: AbortSignal;
}

/** Ranges of the sampling options. */
export interface LanguageModelParams {
  /** All tokens. */
  readonly defaultTopK: number;
  /** All tokens: higher values count as this one. */
  readonly maxTopK: number;
  /** Of a session that names none. */
  readonly defaultTemperature: number;
  /** Higher values count as this one. */
  readonly maxTemperature: number;
}
