import { sha256Of } from "../fetch/sha256.ts";
import type { Cell, KeptCell } from "./types.ts";

/** What a cell's score depends on besides its own definition. */
export interface Provenance {
  readonly version: string;
  readonly modelSha256: string;
  /** SHA-256 of the filters' file, "" where there is none. */
  readonly filtersSha256: string;
}

/** JSON with sorted keys: equal for equal values. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

export const cellKey = async (cell: Cell, provenance: Provenance): Promise<string> =>
  (await sha256Of(canonical({ cell, provenance }))).slice(0, 32);

/**
 * Writes cells as lines. The first one of a run begins on a line of its own, whatever a kill left of the last
 * one before it.
 */
export function keepLines(append: (text: string) => Promise<void>) {
  let first = true;
  return async (cell: KeptCell): Promise<void> => {
    const line = `${first ? "\n" : ""}${JSON.stringify(cell)}\n`;
    first = false;
    await append(line);
  };
}

/**
 * Cells by key from the lines of cells.jsonl. A last line that was cut off by a kill is left out, and so is
 * any other that is damaged: its cell is run again.
 */
export function readKept(lines: string): Map<string, KeptCell> {
  const kept = new Map<string, KeptCell>();
  for (const line of lines.split("\n")) {
    const cell = parseLine(line);
    if (cell) kept.set(cell.key, cell);
  }
  return kept;
}

function parseLine(line: string): KeptCell | undefined {
  try {
    const value = JSON.parse(line) as Partial<KeptCell> | null;
    const whole = value?.key && value.cell && value.score && value.seconds !== undefined;
    return whole ? (value as KeptCell) : undefined;
  } catch {
    return undefined;
  }
}
