import { canonical } from "./kept.ts";
import { questionsOf } from "./tasks/index.ts";
import type { Cell, PromptCell, TextCell } from "./types.ts";

/** Cells that run together; each is kept on its own. */
export type Batch =
  | { readonly kind: "text"; readonly cells: readonly TextCell[] }
  | { readonly kind: "prompt"; readonly cells: readonly PromptCell[] };

const passageKey = ({ text, offset, tokens, passage }: TextCell): string =>
  JSON.stringify([text, offset, tokens, passage]);

/** Cells of one passage, in the order of the first. */
function byPassage(cells: readonly TextCell[]): TextCell[][] {
  const groups = new Map<string, TextCell[]>();
  for (const cell of cells) {
    const key = passageKey(cell);
    groups.set(key, [...(groups.get(key) ?? []), cell]);
  }
  return [...groups.values()];
}

export function slices<T>(list: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < list.length; i += size) parts.push(list.slice(i, i + size));
  return parts;
}

/** Whether a cell is compared with the uncompressed run, step by step. */
const isCompared = ({ agreement, mass }: TextCell): boolean => agreement || mass === true;

/** Whether the uncompressed run must go along, for a batch that does not hold it. */
export const needsReference = ({ cells: [first] }: Batch & { kind: "text" }): boolean =>
  isCompared(first!) && first!.arm.policy !== "full";

/** Whether two cells read the same under the same arm, and differ in their question alone. */
export function readAlike(a: PromptCell, b: PromptCell): boolean {
  const readOf = ({ trial, ...rest }: PromptCell): string =>
    canonical({ ...rest, read: Math.floor(trial / questionsOf(rest.task)) });
  return readOf(a) === readOf(b);
}

/** The cells that are left, in groups of at most `lanes` sequences. */
export function batchesOf(cells: readonly Cell[], lanes: number): Batch[] {
  const batches: Batch[] = [];
  const text = cells.filter((cell): cell is TextCell => cell.kind === "text");
  for (const group of byPassage(text.filter(isCompared))) {
    // The ceiling leads where it is among them; else a place is left for it.
    const sorted = [...group].sort(
      (a, b) => Number(b.arm.policy === "full") - Number(a.arm.policy === "full"),
    );
    const led = sorted[0]!.arm.policy === "full" ? 1 : 0;
    const room = Math.max(1, lanes - 1);
    const first = sorted.slice(0, room + led);
    for (const cells of [first, ...slices(sorted.slice(first.length), room)])
      batches.push({ kind: "text", cells });
  }
  // Cells that are compared with nothing may step together in any groups: even ones, so that none steps alone at the end.
  const alone = text.filter((cell) => !isCompared(cell));
  const even = Math.ceil(alone.length / Math.max(1, Math.ceil(alone.length / lanes)));
  for (const cells of slices(alone, Math.max(1, even))) batches.push({ kind: "text", cells });
  const prompts = cells.filter((cell): cell is PromptCell => cell.kind === "prompt");
  for (const cells of slices(prompts, lanes)) batches.push({ kind: "prompt", cells });
  return batches;
}
