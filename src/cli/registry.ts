import type { Command, TextCommand } from "./command.ts";
import { bench } from "./commands/bench.ts";
import { calibrateCommand } from "./commands/calibrate.ts";
import { evalCommand } from "./commands/eval.ts";
import { generate } from "./commands/generate.ts";
import { logits } from "./commands/logits.ts";
import { needle } from "./commands/needle.ts";
import { ppl } from "./commands/ppl.ts";
import { tokenize } from "./commands/tokenize.ts";

/** Flags of every command. */
export const COMMON_FLAGS = {
  model: "string",
  json: "boolean",
  host: "string",
  verbose: "boolean",
  help: "boolean",
} as const;

// A command's input is its own affair: `read` makes it and `run` takes it.
export type AnyCommand = Command<unknown> | TextCommand<unknown>;

const erase = <Input>(command: Command<Input>): Command<unknown> => ({
  ...command,
  run: (input, context) => command.run(input as Input, context),
});

const ENGINE_COMMANDS: readonly Command<unknown>[] = [
  erase(generate),
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
];

export const findCommand = (name: string): AnyCommand | undefined =>
  COMMANDS.find((command) => command.name === name);

/** For the page, which runs only what needs a GPU. */
export const findEngineCommand = (name: string): Command<unknown> | undefined =>
  ENGINE_COMMANDS.find((command) => command.name === name);
