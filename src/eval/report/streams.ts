import { canonical } from "../kept.ts";
import type { Arm, Cell, KeptCell, TextScore } from "../types.ts";
import { mean } from "./statistics.ts";

/** Mean losses in nats, over the streams. */
export interface StreamLosses {
  /** Of each bin. */
  readonly bins: readonly number[];
  /** Of all positions. */
  readonly all: number;
}

export interface StreamArm extends StreamLosses {
  readonly arm: Arm;
  /** Loss over the uncompressed run's, as a share of StreamingLLM's under the same budget; missing where one of them is. */
  readonly share?: number;
}

/** Long texts token by token: losses by position, of all policies under one budget. */
export interface StreamSet {
  readonly budget: number;
  readonly tokens: number;
  /** Streams that losses are means over. */
  readonly n: number;
  /** [from, to) of each bin: loss i is that of token i + 1. */
  readonly ranges: readonly (readonly [number, number])[];
  readonly arms: readonly StreamArm[];
  /** The uncompressed run; missing past the trained length. */
  readonly full?: StreamLosses;
}

/** A set for each budget, smallest first. `bin`: positions of a bin. */
export function streamsOf(cells: readonly KeptCell[], bin: number): StreamSet[] {
  const byArm = new Map<string, KeptCell[]>();
  for (const one of cells) {
    if (one.cell.kind !== "text") continue;
    const key = canonical(one.cell.arm);
    byArm.set(key, [...(byArm.get(key) ?? []), one]);
  }
  const groups = [...byArm.values()];
  const tokens = tokensOf(groups[0]?.[0]?.cell);
  const ranges: (readonly [number, number])[] = [];
  for (let from = 0; from < tokens - 1; from += bin)
    ranges.push([from, Math.min(from + bin, tokens - 1)]);
  const whole = groups.find(([one]) => one!.cell.arm.policy === "full");
  const full = whole && lossesOf(whole, ranges);
  const budgets = new Set(groups.map(([one]) => one!.cell.arm.budget));
  return [...budgets]
    .filter((budget) => budget !== "full")
    .sort((a, b) => a - b)
    .map((budget) => {
      const own = groups.filter(([one]) => one!.cell.arm.budget === budget);
      const arms = own.map((group) => ({ arm: group[0]!.cell.arm, ...lossesOf(group, ranges) }));
      const n = own[0]!.length;
      return { budget, tokens, n, ranges, arms: withShares(arms, full), ...(full && { full }) };
    });
}

const tokensOf = (cell: Cell | undefined): number => (cell?.kind === "text" ? cell.tokens : 0);

function lossesOf(
  cells: readonly KeptCell[],
  ranges: readonly (readonly [number, number])[],
): StreamLosses {
  const over = (from?: number, to?: number): number =>
    mean(cells.map(({ score }) => mean((score as TextScore).nll.slice(from, to))));
  return { bins: ranges.map(([from, to]) => over(from, to)), all: over() };
}

function withShares(arms: readonly StreamArm[], full: StreamLosses | undefined): StreamArm[] {
  const baseline = arms.find(({ arm }) => arm.policy === "streaming-llm");
  const most = baseline && full ? baseline.all - full.all : 0;
  // Where StreamingLLM loses nothing there is nothing to have a share of.
  if (!full || most <= 0) return [...arms];
  return arms.map((one) => ({ ...one, share: (one.all - full.all) / most }));
}

/** The arm with the lowest loss of a bin; undefined where several share it, as before anything is dropped. */
export function aheadIn({ arms }: StreamSet, bin: number): StreamArm | undefined {
  const least = Math.min(...arms.map(({ bins }) => bins[bin]!));
  const first = arms.filter(({ bins }) => bins[bin] === least);
  return first.length === 1 ? first[0] : undefined;
}
