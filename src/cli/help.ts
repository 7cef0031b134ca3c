import { DEFAULT_MODEL } from "../fetch/resolve/model-registry.ts";
import type { AnyCommand } from "./registry.ts";
import { COMMANDS } from "./registry.ts";

/** Works outside a project too, where `npx winnow` is another package. */
export const PROGRAM = "npx winnow-llm";
const HOSTS = "[--host node|chromium] ";

export function generalHelp(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  return [
    "winnow: a language model on WebGPU with a KV cache that keeps to its budget",
    "",
    `usage: ${PROGRAM} COMMAND [--model M] [flags]`,
    "",
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    `M is a name in models.json, or a path or URL of a .gguf. Without it: ${DEFAULT_MODEL}, which is`,
    "downloaded once. `COMMAND --help` shows a command's flags, --json prints one JSON object on stdout,",
    "--verbose shows what the GPU's driver says, too.",
  ].join("\n");
}

export function commandHelp(command: AnyCommand): string {
  const { name, summary, usage } = command;
  const loads = !("answer" in command);
  const model = loads ? "[--model M] " : "";
  const common = `[--json]${loads ? ` ${"serve" in command ? "" : HOSTS}[--verbose]` : ""}`;
  return `winnow ${name}: ${summary}\n\nusage: ${PROGRAM} ${name} ${model}${usage} ${common}`;
}
