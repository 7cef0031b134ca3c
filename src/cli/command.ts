import type { CacheOptions, StoredModel } from "../api/types.ts";
import type { ReadableModel } from "../api/worker/open-engine.ts";
import type { InferenceEngine } from "../engine/engine.ts";
import type { Tokenizer } from "../text/types.ts";

/** Values of flags as typed: every flag may come several times. */
export type FlagValues = Readonly<Record<string, readonly (string | boolean)[] | undefined>>;

/** What a command gets from its surroundings while it reads its flags. */
export interface CommandFiles {
  /** Text of a file. Throws invalid_argument naming `flag`. */
  readText(flag: string, path: string): Promise<string>;
  /** Text of a file, or "" where there is none. Throws invalid_argument naming `flag`. */
  readIfThere(flag: string, path: string): Promise<string>;
  /** The package's version. */
  version(): Promise<string>;
  /** The command as it was typed, for reports. */
  readonly commandLine: string;
  /** Bytes of a file. Throws the same. */
  readBytes(flag: string, path: string): Promise<Uint8Array>;
  /** Throws invalid_argument naming `flag` where no file can be written: before the work whose result it is for. */
  checkWritable(flag: string, path: string): Promise<void>;
  /** What is stored on this disk. */
  listModels(): Promise<StoredModel[]>;
  removeModel(source: string): Promise<boolean>;
}

export type Report = (label: string, done: number, total: number) => void;

export interface CommandContext {
  engine: InferenceEngine;
  /** SHA-256 of the model's file. */
  modelSha256: string;
  report: Report;
  /** Adds to a file at once, so that it is there after a kill. Throws invalid_argument. */
  append(path: string, text: string): Promise<void>;
  /** Aborts at Ctrl-C, for commands that are `abortable`. */
  signal: AbortSignal;
}

export interface CommandResult {
  /** What --json prints. */
  json: Record<string, unknown>;
  /** What is printed without --json. */
  text: string;
  /** Files to write, by path. */
  files?: Record<string, Uint8Array>;
}

/**
 * One command of `winnow`. `read` turns flags into plain data, and `run` works on that data alone,
 * so that it runs in Node and, with --host chromium, in a page.
 */
export interface Command<Input> {
  name: string;
  /** One line for --help. */
  summary: string;
  /** The flags besides --model, --json, --host, as --help shows them. */
  usage: string;
  flags: Readonly<Record<string, "string" | "boolean">>;
  /** Words without a dash belong to this flag, e.g. the second file in `--text a.txt b.txt`. */
  listFlag?: string;
  /** The cache the engine is loaded with; undefined for commands that take no cache flags. */
  cacheDefaults?: CacheOptions;
  /** Ctrl-C aborts its signal, and a second one ends the process. */
  abortable?: boolean;
  /** The result where the flags ask for none that takes a model. */
  withoutModel?(flags: FlagValues, files: CommandFiles): Promise<CommandResult | undefined>;
  read(flags: FlagValues, files: CommandFiles): Promise<Input>;
  /** What makes the model that the command runs in place of --model; undefined where it takes that one. */
  ownModel?(input: Input): (() => Promise<ReadableModel>) | undefined;
  run(input: Input, context: CommandContext): Promise<CommandResult>;
}

/** A command that needs the model's tokenizer and no GPU. */
export interface TextCommand<Input>
  extends Omit<
    Command<Input>,
    "run" | "cacheDefaults" | "abortable" | "withoutModel" | "ownModel"
  > {
  runText(input: Input, tokenizer: Tokenizer): Promise<CommandResult>;
}

/** A command that loads no model. */
export interface PlainCommand
  extends Pick<Command<unknown>, "name" | "summary" | "usage" | "flags" | "listFlag"> {
  answer(flags: FlagValues, files: CommandFiles): Promise<CommandResult>;
}

/** What a command that serves works with. */
export interface ServeContext {
  readonly model: string;
  readonly cache: CacheOptions;
  readonly filters: string | undefined;
  readonly report: Report;
  /** Prints that it can be asked now. */
  ready(result: CommandResult): Promise<void>;
  /** Fires when the user wants it to end. */
  readonly end: AbortSignal;
  /** Fires when it shall end at once. */
  readonly endNow: AbortSignal;
}

/** A command that runs in Node until it is stopped, on an engine of its own. Its flag --host is an address. */
export interface ServerCommand
  extends Pick<Command<unknown>, "name" | "summary" | "usage" | "flags" | "listFlag"> {
  /** Throws what is wrong with the flags, before anything is loaded. */
  check(flags: FlagValues): void;
  serve(flags: FlagValues, context: ServeContext): Promise<void>;
}
