import type { Runner } from "./runner.ts";

/** Resolves when what the file has of the tokens is in memory: they are to be run before anything else is awaited. */
export async function tokenRows(runner: Runner, tokens: readonly number[]): Promise<void> {
  for (;;) {
    const reading = runner.compiled({ tokens });
    if (!reading) return;
    await reading;
  }
}
