import { toRegExp } from "oniguruma-to-es";
import { damagedPart, isJson, unsupportedPart } from "./json.ts";

/** A stretch of text, and whether it is what a pattern looks for. */
export interface Stretch {
  readonly begin: number;
  readonly end: number;
  readonly match: boolean;
}

/** Cuts a text into stretches that match and stretches between. */
export type Pattern = (text: string) => Stretch[];

/** The expression of a `{ "Regex": ... }` (Oniguruma's language) or `{ "String": ... }`. */
export function regExpOf(value: unknown, field: string): RegExp {
  if (isJson(value) && typeof value.String === "string")
    return new RegExp(value.String.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "gu");
  if (!isJson(value) || typeof value.Regex !== "string")
    throw damagedPart(field, "is no String and no Regex");
  try {
    return toRegExp(value.Regex, { global: true });
  } catch (cause) {
    throw unsupportedPart(field, `the expression ${value.Regex} (${(cause as Error).message})`);
  }
}

/** Empty matches count: they part what is before from what is behind. */
export const regExpPattern =
  (expression: RegExp): Pattern =>
  (text) => {
    const stretches: Stretch[] = [];
    let end = 0;
    for (const found of text.matchAll(expression)) {
      const begin = found.index;
      if (begin > end) stretches.push({ begin: end, end: begin, match: false });
      end = begin + found[0].length;
      stretches.push({ begin, end, match: true });
    }
    if (end < text.length) stretches.push({ begin: end, end: text.length, match: false });
    return stretches;
  };

export const inverted =
  (pattern: Pattern): Pattern =>
  (text) =>
    pattern(text).map((stretch) => ({ ...stretch, match: !stretch.match }));

/** What becomes of the stretches that match. */
export type Behavior = keyof typeof BEHAVIORS;

type Cut = { begin: number; end: number };

const BEHAVIORS = {
  Removed: (all: readonly Stretch[]): Cut[] => all.filter(({ match }) => !match),
  Isolated: (all: readonly Stretch[]): Cut[] => [...all],
  Contiguous: (all: readonly Stretch[]): Cut[] =>
    joined(all, (one, before) => one.match === before?.match),
  MergedWithPrevious: (all: readonly Stretch[]): Cut[] =>
    joined(all, (one, before) => one.match && !before?.match),
  MergedWithNext: (all: readonly Stretch[]): Cut[] =>
    joined(all.toReversed(), (one, before) => one.match && !before?.match).toReversed(),
};

/** Joins a stretch to the one before it (in this order) where `joins` says so. */
function joined(
  all: readonly Stretch[],
  joins: (one: Stretch, before: Stretch | undefined) => boolean,
): Cut[] {
  const cuts: Cut[] = [];
  let before: Stretch | undefined;
  for (const one of all) {
    const last = cuts.at(-1);
    if (last !== undefined && joins(one, before)) {
      last.begin = Math.min(last.begin, one.begin);
      last.end = Math.max(last.end, one.end);
    } else cuts.push({ begin: one.begin, end: one.end });
    before = one;
  }
  return cuts;
}

export function behaviorNamed(name: unknown, field: string): Behavior {
  if (typeof name === "string" && Object.hasOwn(BEHAVIORS, name)) return name as Behavior;
  throw unsupportedPart(field, `the behavior ${JSON.stringify(name)}`);
}

/** Where a text is cut; no cut is empty. */
export const cutsOf = (text: string, pattern: Pattern, behavior: Behavior): Cut[] =>
  BEHAVIORS[behavior](pattern(text)).filter(({ begin, end }) => end > begin);
