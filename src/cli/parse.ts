import { parseArgs } from "node:util";
import { invalidArgument } from "../errors.ts";
import type { FlagValues } from "./command.ts";
import { type AnyCommand, flagsOf } from "./registry.ts";

/** Splits a command line into flags. Throws invalid_argument for anything the command does not know. */
export function parseFlags(command: AnyCommand, args: readonly string[]): FlagValues {
  const known = flagsOf(command);
  const options = Object.fromEntries(
    Object.entries(known).map(([name, type]) => [name, { type, multiple: true }] as const),
  );
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...args], options, strict: true, allowPositionals: true });
  } catch (cause) {
    // The first sentence says what is wrong; the rest is about quoting.
    const message = (cause as Error).message.split(/\.\s|\n/)[0] ?? "";
    throw invalidArgument(command.name, message, `Flags are ${flagNames(known)}.`);
  }
  const flags = { ...parsed.values } as Record<string, (string | boolean)[] | undefined>;
  if (parsed.positionals.length > 0) {
    const { listFlag } = command;
    if (!listFlag || !flags[listFlag]) {
      throw invalidArgument(
        command.name,
        `does not take "${parsed.positionals[0]}"`,
        `Flags are ${flagNames(known)}.`,
      );
    }
    flags[listFlag] = [...flags[listFlag], ...parsed.positionals];
  }
  return flags;
}

const flagNames = (flags: object): string =>
  Object.keys(flags)
    .map((name) => `--${name}`)
    .join(", ");
