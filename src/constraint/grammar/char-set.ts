/** Sets of code points, as ascending ranges [first, last] that do not touch, and their UTF-8. */
export type CharSet = readonly (readonly [number, number])[];

export const LAST_CHAR = 0x10ffff;

/**
 * Marks stand for tokens that write no text. They follow the last character, and each is written as a byte that UTF-8
 * never has.
 */
export const FIRST_MARK = LAST_CHAR + 1;
export const FIRST_MARK_BYTE = 0xf8;

const SURROGATES: CharSet = [[0xd800, 0xdfff]];

/** The union of ranges in any order. */
export function charSet(ranges: Iterable<readonly [number, number]>): CharSet {
  const joined: [number, number][] = [];
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    const before = joined.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

export function without(set: CharSet, other: CharSet): CharSet {
  const left: [number, number][] = [];
  for (let [first, last] of set) {
    for (const [from, to] of other) {
      if (to < first || from > last) continue;
      if (from > first) left.push([first, from - 1]);
      first = to + 1;
    }
    if (first <= last) left.push([first, last]);
  }
  return left;
}

export function intersection(a: CharSet, b: CharSet): CharSet {
  const shared: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [first, last] = [Math.max(a[i]![0], b[j]![0]), Math.min(a[i]![1], b[j]![1])];
    if (first <= last) shared.push([first, last]);
    if (a[i]![1] < b[j]![1]) i += 1;
    else j += 1;
  }
  return shared;
}

/** What UTF-8 can write. */
export const ANY_CHAR: CharSet = without([[0, LAST_CHAR]], SURROGATES);

export const complement = (set: CharSet): CharSet => without(ANY_CHAR, set);

export const chars = (text: string): CharSet =>
  charSet([...text].map((char) => [char.codePointAt(0)!, char.codePointAt(0)!]));

/** Ranges of bytes, one after the other. */
type ByteRanges = readonly (readonly [number, number])[];

/** The last code point of each length of UTF-8. */
const LENGTHS = [0x7f, 0x7ff, 0xffff, LAST_CHAR];

/** Sequences of byte ranges that together write exactly the characters of a set. */
export function utf8Ranges(set: CharSet): ByteRanges[] {
  const sequences: ByteRanges[] = [];
  for (const [first, last] of without(set, SURROGATES)) {
    let from = first;
    for (const end of LENGTHS) {
      if (from > end) continue;
      const to = Math.min(last, end);
      if (from <= to) split(encode(from), encode(to), [], sequences);
      from = to + 1;
      if (from > last) break;
    }
    const mark = Math.max(first, FIRST_MARK);
    const byte = FIRST_MARK_BYTE - FIRST_MARK;
    if (mark <= last) sequences.push([[mark + byte, last + byte]]);
  }
  return sequences;
}

function encode(char: number): number[] {
  if (char < 0x80) return [char];
  const rest = (count: number): number[] =>
    Array.from({ length: count }, (_, i) => 0x80 | ((char >> (6 * (count - 1 - i))) & 0x3f));
  if (char < 0x800) return [0xc0 | (char >> 6), ...rest(1)];
  if (char < 0x10000) return [0xe0 | (char >> 12), ...rest(2)];
  return [0xf0 | (char >> 18), ...rest(3)];
}

/** Sequences from one to the other, both of the same length, behind the ranges of `prefix`. */
function split(
  from: readonly number[],
  to: readonly number[],
  prefix: ByteRanges,
  out: ByteRanges[],
): void {
  const [a, b] = [from[0]!, to[0]!];
  const [restFrom, restTo] = [from.slice(1), to.slice(1)];
  if (restFrom.length === 0) {
    out.push([...prefix, [a, b]]);
    return;
  }
  if (a === b) {
    split(restFrom, restTo, [...prefix, [a, b]], out);
    return;
  }
  const lowest = restFrom.map(() => 0x80);
  const highest = restFrom.map(() => 0xbf);
  const begins = restFrom.every((byte) => byte === 0x80);
  const ends = restTo.every((byte) => byte === 0xbf);
  if (!begins) split(restFrom, highest, [...prefix, [a, a]], out);
  const [low, high] = [begins ? a : a + 1, ends ? b : b - 1];
  if (low <= high) split(lowest, highest, [...prefix, [low, high]], out);
  if (!ends) split(lowest, restTo, [...prefix, [b, b]], out);
}
