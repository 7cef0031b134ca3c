import type { Command } from "./command.ts";
import { bench } from "./commands/bench.ts";
import { calibrateCommand } from "./commands/calibrate.ts";
import { evalCommand } from "./commands/eval.ts";
import { generate } from "./commands/generate.ts";
import { logits } from "./commands/logits.ts";
import { needle } from "./commands/needle.ts";
import { ppl } from "./commands/ppl.ts";
import { read } from "./commands/read.ts";

// A command's input is its own affair: `read` makes it and `run` takes it.
const erase = <Input>({ ownModel, ...command }: Command<Input>): Command<unknown> => ({
  ...command,
  ...(ownModel && { ownModel: (input: unknown) => ownModel(input as Input) }),
  run: (input, context) => command.run(input as Input, context),
});

/** Commands that run on an engine that is loaded for them, in Node or in a page. */
export const ENGINE_COMMANDS: readonly Command<unknown>[] = [
  erase(generate),
  erase(read),
  erase(logits),
  erase(ppl),
  erase(needle),
  erase(calibrateCommand),
  erase(evalCommand),
  erase(bench),
];

export const findEngineCommand = (name: string): Command<unknown> | undefined =>
  ENGINE_COMMANDS.find((command) => command.name === name);
