import type { cacheFlags } from "./flags.ts";

/** What a host runs: a command, its input, and the engine it wants. */
export interface Job {
  command: string;
  input: unknown;
  model: string;
  cache: ReturnType<typeof cacheFlags>;
  filters: string | undefined;
}
