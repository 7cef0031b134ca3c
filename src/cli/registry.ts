import type { Command, PlainCommand, TextCommand } from "./command.ts";
import { bench } from "./commands/bench.ts";
import { calibrateCommand } from "./commands/calibrate.ts";
import { evalCommand } from "./commands/eval.ts";
import { generate } from "./commands/generate.ts";
import { logits } from "./commands/logits.ts";
import { models } from "./commands/models.ts";
import { needle } from "./commands/needle.ts";
import { ppl } from "./commands/ppl.ts";
import { read } from "./commands/read.ts";
import { tokenize } from "./commands/tokenize.ts";

/** Flags of every command, and of those that load a model. */
const PLAIN_FLAGS = { json: "boolean", help: "boolean" } as const;
const MODEL_FLAGS = { model: "string", host: "string", verbose: "boolean" } as const;

/** All that a command knows. */
export const flagsOf = (command: AnyCommand): Readonly<Record<string, "string" | "boolean">> => ({
  ...("answer" in command ? {} : MODEL_FLAGS),
  ...PLAIN_FLAGS,
  ...command.flags,
});

// A command's input is its own affair: `read` makes it and `run` takes it.
export type AnyCommand = Command<unknown> | TextCommand<unknown> | PlainCommand;

const erase = <Input>(command: Command<Input>): Command<unknown> => ({
  ...command,
  run: (input, context) => command.run(input as Input, context),
});

const ENGINE_COMMANDS: readonly Command<unknown>[] = [
  erase(generate),
  erase(read),
  erase(logits),
  erase(ppl),
  erase(needle),
  erase(calibrateCommand),
  erase(evalCommand),
  erase(bench),
];

export const COMMANDS: readonly AnyCommand[] = [
  ...ENGINE_COMMANDS,
  { ...tokenize, runText: (input, tokenizer) => tokenize.runText(input as string, tokenizer) },
  models,
];

export const findCommand = (name: string): AnyCommand | undefined =>
  COMMANDS.find((command) => command.name === name);

/** For the page, which runs only what needs a GPU. */
export const findEngineCommand = (name: string): Command<unknown> | undefined =>
  ENGINE_COMMANDS.find((command) => command.name === name);
