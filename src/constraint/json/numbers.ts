import { GrammarError } from "../grammar/grammar.ts";
import { choice, type Expression, literal, oneOf, repeat, sequence } from "../syntax/expression.ts";

/** Bounds of a number, as JSON Schema gives them. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
  /** The bound itself is out. */
  readonly above: boolean;
  readonly below: boolean;
}

const digit = (first: number, last = first): Expression => oneOf([[0x30 + first, 0x30 + last]]);
const DIGITS = digit(0, 9);
/** Digits behind the point of bounded numbers, beyond those of the bounds. */
const MORE_DIGITS = 2;
/** Digits behind the point of numbers away from their bounds. */
const FREE_DIGITS = 6;

/** Integers within bounds, inclusive; either may be infinite. */
export function integers(min: number, max: number): Expression | undefined {
  if (min > max) return undefined;
  const parts: Expression[] = [];
  if (max >= 0) parts.push(...naturals(Math.max(0, min), max));
  if (min < 0)
    parts.push(
      ...naturals(Math.max(1, -max), -min).map((number) => sequence(literal("-"), number)),
    );
  return parts.length > 0 ? choice(...parts) : undefined;
}

/** Most digits of a number without a bound. */
const MOST_DIGITS = 15;

/** Whole numbers from `min` to `max` of at least 0. */
function naturals(min: number, max: number): Expression[] {
  const last =
    max === Number.POSITIVE_INFINITY ? 10 ** Math.max(MOST_DIGITS, `${min}`.length) - 1 : max;
  if (last > Number.MAX_SAFE_INTEGER || min > last) throw beyond();
  const parts: Expression[] = [];
  for (let length = `${min}`.length; length <= `${last}`.length; length += 1) {
    const low = `${Math.max(min, length === 1 ? 0 : 10 ** (length - 1))}`;
    const high = `${Math.min(last, 10 ** length - 1)}`;
    if (low.length === length && high.length === length) parts.push(between(low, high));
  }
  return parts;
}

const beyond = (): GrammarError =>
  new GrammarError("its bounds are beyond the integers that a double tells apart");

/** Strings of digits, all of one length, from one to the other. */
function between(low: string, high: string): Expression {
  if (low === "") return sequence();
  const [a, b] = [Number(low[0]), Number(high[0])];
  const [restLow, restHigh] = [low.slice(1), high.slice(1)];
  if (a === b) return sequence(digit(a), between(restLow, restHigh));
  const begins = /^0*$/.test(restLow);
  const ends = /^9*$/.test(restHigh);
  const parts: Expression[] = [];
  if (!begins) parts.push(sequence(digit(a), between(restLow, "9".repeat(restLow.length))));
  const [first, last] = [begins ? a : a + 1, ends ? b : b - 1];
  if (first <= last) parts.push(sequence(digit(first, last), times(restLow.length)));
  if (!ends) parts.push(sequence(digit(b), between("0".repeat(restHigh.length), restHigh)));
  return choice(...parts);
}

const times = (count: number): Expression => repeat(DIGITS, count, count);

/** Decimal numbers within bounds, without exponents. */
export function decimals(bounds: Bounds): Expression | undefined {
  const { min, max, above, below } = bounds;
  if (min > Number.MAX_SAFE_INTEGER || max < -Number.MAX_SAFE_INTEGER) throw beyond();
  const parts: Expression[] = [];
  if (max >= 0) parts.push(...positives({ ...bounds, ...(min < 0 && { min: 0, above: false }) }));
  if (min < 0) {
    const mirrored = { min: Math.max(0, -max), above: -max >= 0 && below, max: -min, below: above };
    // Minus nought is nought: it is left to the numbers without a sign.
    const some = positives(mirrored.min === 0 ? { ...mirrored, above: true } : mirrored);
    parts.push(...some.map((number) => sequence(literal("-"), number)));
  }
  return parts.length > 0 ? choice(...parts) : undefined;
}

/** The digits of a number: whole part and fraction. */
function digitsOf(value: number): [string, string] {
  const text = `${value}`;
  if (/e/.test(text)) {
    const plain = value.toFixed(20).replace(/0+$/, "");
    if (Number(plain) !== value) throw new GrammarError(`its bound ${value} has too many digits`);
    return plain.split(".") as [string, string];
  }
  const [whole, fraction = ""] = text.split(".");
  return [whole!, fraction];
}

/** Numbers without a sign, from `min` of at least 0. */
function positives({ min, max, above, below }: Bounds): Expression[] {
  if (min > max || (min === max && (above || below))) return [];
  const [lowWhole, lowFraction] = digitsOf(min);
  const [low, lowDigits] = [Number(lowWhole), lowFraction];
  const parts: Expression[] = [];
  const [highWhole, highDigits] =
    max === Number.POSITIVE_INFINITY ? [Number.POSITIVE_INFINITY, ""] : split(max);
  const high = highWhole;
  const from = { digits: lowDigits, out: above };
  const to = { digits: highDigits, out: below };
  if (low === high) return cell(low, from, to);
  parts.push(...cell(low, from, undefined));
  // Cells that lie within as a whole.
  const inner = high === Number.POSITIVE_INFINITY ? high : high - 1;
  if (low + 1 <= inner)
    parts.push(
      ...naturals(low + 1, inner).map((whole) =>
        sequence(whole, repeat(sequence(literal("."), repeat(DIGITS, 1, FREE_DIGITS)), 0, 1)),
      ),
    );
  if (high !== Number.POSITIVE_INFINITY) parts.push(...cell(high, undefined, to));
  return parts;
}

function split(value: number): [number, string] {
  const [whole, fraction] = digitsOf(value);
  return [Number(whole), fraction];
}

interface Edge {
  /** The fraction's digits. */
  readonly digits: string;
  readonly out: boolean;
}

/** Numbers with the whole part `whole` whose fraction lies from one edge to the other; undefined: that of the cell. */
function cell(whole: number, from: Edge | undefined, to: Edge | undefined): Expression[] {
  if (whole > Number.MAX_SAFE_INTEGER) throw beyond();
  const parts: Expression[] = [];
  const nought = { digits: "", out: false };
  const low = from ?? nought;
  const bare = low.digits === "" && !low.out && !(to && to.digits === "" && to.out);
  if (bare) parts.push(literal(`${whole}`));
  const length = Math.max(low.digits.length, to?.digits.length ?? 0);
  const longest = Math.min(length + MORE_DIGITS, 17);
  for (let digits = 1; digits <= Math.max(longest, from || to ? 1 : FREE_DIGITS); digits += 1) {
    const least = atLeast(low, digits);
    const most = to ? atMost(to, digits) : "9".repeat(digits);
    if (least !== undefined && most !== undefined && least <= most)
      parts.push(sequence(literal(`${whole}.`), between(least, most)));
  }
  return parts;
}

/** The least fraction of so many digits that is not below the edge; undefined where there is none. */
function atLeast({ digits, out }: Edge, count: number): string | undefined {
  const cut = digits.padEnd(count, "0").slice(0, count);
  const exact = /^0*$/.test(digits.slice(count));
  if (exact && !out) return cut;
  return plusOne(cut);
}

function plusOne(digits: string): string | undefined {
  const next = (BigInt(`1${digits}`) + 1n).toString();
  return next.startsWith("1") ? next.slice(1) : undefined;
}

/** The highest fraction of so many digits that is not above the edge. */
function atMost({ digits, out }: Edge, count: number): string | undefined {
  const cut = digits.padEnd(count, "0").slice(0, count);
  const exact = /^0*$/.test(digits.slice(count));
  if (!exact || !out) return cut;
  if (/^0*$/.test(cut)) return undefined;
  return (BigInt(`1${cut}`) - 1n).toString().slice(1);
}
