import type { LoadProgress } from "../api/types.ts";
import type { CommandContext, Report } from "./command.ts";
import type { cacheFlags } from "./flags.ts";

/** What a running command needs of the process it was started in. */
export type JobHooks = Pick<CommandContext, "report" | "append" | "signal">;

/** What a host runs: a command, its input, and the engine it wants. */
export interface Job {
  command: string;
  input: unknown;
  /** Undefined where the command makes its own. */
  model: string | undefined;
  cache: ReturnType<typeof cacheFlags>;
  filters: string | undefined;
}

const PAUSES = {
  server: "waiting for the server",
  connection: "waiting for the connection",
  other: "waiting for a process that fetches the same",
} as const;

/** Progress of loading a model, as a line for people. */
export const reportTo =
  (report: Report) =>
  ({ stage, loaded, total, waiting }: LoadProgress): void =>
    report(waiting ? PAUSES[waiting.for] : stage, loaded, total);
