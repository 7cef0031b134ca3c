import type { CommandContext } from "./command.ts";
import type { cacheFlags } from "./flags.ts";

/** What a running command needs of the process it was started in. */
export type JobHooks = Pick<CommandContext, "report" | "append" | "signal">;

/** What a host runs: a command, its input, and the engine it wants. */
export interface Job {
  command: string;
  input: unknown;
  model: string;
  cache: ReturnType<typeof cacheFlags>;
  filters: string | undefined;
}
