import type { AnyCommand } from "./registry.ts";
import { COMMANDS } from "./registry.ts";

const COMMON = "[--json] [--host node|chromium]";

export function generalHelp(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  return [
    "winnow: a language model on WebGPU with a KV cache that keeps to its budget",
    "",
    "usage: winnow COMMAND --model M [flags]",
    "",
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "M is a name in models.json, or a path or URL of a .gguf.",
    "`winnow COMMAND --help` shows a command's flags; --json prints one JSON object on stdout.",
  ].join("\n");
}

export function commandHelp(command: AnyCommand): string {
  const { name, summary, usage } = command;
  const model = "modelDefault" in command ? `[--model ${command.modelDefault}]` : "--model M";
  return `winnow ${name}: ${summary}\n\nusage: winnow ${name} ${model} ${usage} ${COMMON}`;
}
