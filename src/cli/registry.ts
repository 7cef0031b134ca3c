import type { Command, PlainCommand, ServerCommand, TextCommand } from "./command.ts";
import { models } from "./commands/models.ts";
import { serve } from "./commands/serve.ts";
import { tokenize } from "./commands/tokenize.ts";
import { ENGINE_COMMANDS } from "./engine-commands.ts";

/** Flags of every command, and of those that load a model. */
const PLAIN_FLAGS = { json: "boolean", help: "boolean" } as const;
const MODEL_FLAGS = { model: "string", host: "string", verbose: "boolean" } as const;

/** All that a command knows. */
export const flagsOf = (command: AnyCommand): Readonly<Record<string, "string" | "boolean">> => ({
  ...("answer" in command ? {} : MODEL_FLAGS),
  ...PLAIN_FLAGS,
  ...command.flags,
});

export type AnyCommand = Command<unknown> | TextCommand<unknown> | PlainCommand | ServerCommand;

export const COMMANDS: readonly AnyCommand[] = [
  ...ENGINE_COMMANDS,
  { ...tokenize, runText: (input, tokenizer) => tokenize.runText(input as string, tokenizer) },
  serve,
  models,
];

export const findCommand = (name: string): AnyCommand | undefined =>
  COMMANDS.find((command) => command.name === name);
