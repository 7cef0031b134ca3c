import { ANY_CHAR, type CharSet, charSet, intersection, without } from "../grammar/char-set.ts";
import { type GrammarBuilder, GrammarError } from "../grammar/grammar.ts";
import type { Expression, WriteChars } from "./expression.ts";

/** An automaton over characters, without empty edges; for what an expression cannot say: both of two, or none of some. */
export interface CharAutomaton {
  readonly start: number;
  readonly edges: readonly (readonly CharEdge[])[];
  readonly ends: readonly boolean[];
}

interface CharEdge {
  readonly set: CharSet;
  readonly to: number;
}

const MOST_STATES = 20_000;
/** Most edges that are looked at: parts that may all be empty have one from each to each. */
const MOST_EDGES = 100_000;

const tooLarge = (): GrammarError =>
  new GrammarError("its pattern and bounds together are too large");

/** The automaton of an expression, with counts written out. */
export function automatonOf(expression: Expression): CharAutomaton {
  const edges: CharEdge[][] = [];
  const skips: number[][] = [];
  const state = (): number => {
    if (edges.length >= MOST_STATES) throw tooLarge();
    skips.push([]);
    return edges.push([]) - 1;
  };
  const put = (from: number, part: Expression, to: number): void => {
    if (part.kind === "chars") edges[from]!.push({ set: part.set, to });
    else if (part.kind === "choice") for (const one of part.parts) put(from, one, to);
    else if (part.kind === "sequence") {
      let at = from;
      for (const one of part.parts) {
        const next = state();
        put(at, one, next);
        at = next;
      }
      skips[at]!.push(to);
    } else if (part.kind === "repeat") {
      let at = from;
      const last = part.max === Number.POSITIVE_INFINITY ? part.min : part.max;
      for (let i = 0; i < last; i += 1) {
        if (i >= part.min) skips[at]!.push(to);
        const next = state();
        put(at, part.part, next);
        at = next;
      }
      if (part.max === Number.POSITIVE_INFINITY) {
        const [loop, behind] = [state(), state()];
        skips[at]!.push(loop);
        put(loop, part.part, behind);
        skips[behind]!.push(loop);
        at = loop;
      }
      skips[at]!.push(to);
    } else throw new GrammarError("a rule has no automaton");
  };
  const [start, end] = [state(), state()];
  put(start, expression, end);
  let reached = 0;
  const reach = skips.map((_, from) => {
    const seen = new Set([from]);
    for (const at of seen) for (const to of skips[at]!) seen.add(to);
    reached += seen.size;
    if (reached > MOST_EDGES) throw tooLarge();
    return [...seen];
  });
  return {
    start,
    edges: reach.map((states) => states.flatMap((at) => edges[at]!)),
    ends: reach.map((states) => states.includes(end)),
  };
}

/** Texts of so many characters. */
export const lengths = (min: number, max: number): CharAutomaton =>
  automatonOf({ kind: "repeat", part: { kind: "chars", set: ANY_CHAR }, min, max });

/** All texts but some. */
export function allBut(texts: Iterable<string>): CharAutomaton {
  const nodes: { next: Map<number, number>; out: boolean }[] = [{ next: new Map(), out: false }];
  for (const text of texts) {
    let at = 0;
    for (const char of text) {
      const code = char.codePointAt(0)!;
      const known = nodes[at]!.next.get(code);
      const next = known ?? nodes.push({ next: new Map(), out: false }) - 1;
      nodes[at]!.next.set(code, next);
      at = next;
    }
    nodes[at]!.out = true;
  }
  const free = nodes.length;
  const edges = nodes.map(({ next }) => [
    ...[...next].map(([code, to]) => ({ set: [[code, code]] as CharSet, to })),
    { set: without(ANY_CHAR, charSet([...next.keys()].map((code) => [code, code]))), to: free },
  ]);
  return {
    start: 0,
    edges: [...edges, [{ set: ANY_CHAR, to: free }]],
    ends: [...nodes.map(({ out }) => !out), true],
  };
}

/** All texts in which another one does not come. */
export function allWithout(text: string): CharAutomaton {
  const characters = [...text];
  const alphabet = [...new Set(characters)];
  const rest = without(ANY_CHAR, charSet(alphabet.map((char) => range(char))));
  const edges = characters.map((_, begun) => [
    { set: rest, to: 0 },
    ...alphabet.flatMap((char) => {
      const to = nextBegun(characters, begun, char);
      return to === characters.length ? [] : [{ set: [range(char)], to }];
    }),
  ]);
  return { start: 0, edges, ends: edges.map(() => true) };
}

/** How much of a text has begun where so much of it had, and `item` comes. */
export function nextBegun<T>(text: readonly T[], begun: number, item: T): number {
  const seen = [...text.slice(0, begun), item];
  for (let length = Math.min(seen.length, text.length); length > 0; length -= 1)
    if (seen.slice(-length).every((one, i) => one === text[i])) return length;
  return 0;
}

const range = (char: string): readonly [number, number] => [
  char.codePointAt(0)!,
  char.codePointAt(0)!,
];

/** Texts that both take. */
export function both(a: CharAutomaton, b: CharAutomaton): CharAutomaton {
  const ids = new Map<number, number>();
  const pairs: [number, number][] = [];
  const id = (i: number, j: number): number => {
    const key = i * b.edges.length + j;
    const known = ids.get(key);
    if (known !== undefined) return known;
    if (pairs.length >= MOST_STATES) throw tooLarge();
    ids.set(key, pairs.length);
    return pairs.push([i, j]) - 1;
  };
  id(a.start, b.start);
  const edges: CharEdge[][] = [];
  let looked = 0;
  for (let at = 0; at < pairs.length; at += 1) {
    const [i, j] = pairs[at]!;
    looked += a.edges[i]!.length * b.edges[j]!.length;
    if (looked > MOST_EDGES) throw tooLarge();
    edges.push(
      a.edges[i]!.flatMap((one) =>
        b.edges[j]!.flatMap((other) => {
          const set = intersection(one.set, other.set);
          return set.length > 0 ? [{ set, to: id(one.to, other.to) }] : [];
        }),
      ),
    );
  }
  return { start: 0, edges, ends: pairs.map(([i, j]) => a.ends[i]! && b.ends[j]!) };
}

/** Whether it takes a text. All ways are gone at once, so it takes no longer than the text times the automaton. */
export function takes({ start, edges, ends }: CharAutomaton, text: string): boolean {
  let places = new Set([start]);
  for (const char of text) {
    const code = char.codePointAt(0)!;
    const isIn = ({ set }: CharEdge): boolean =>
      set.some(([first, last]) => code >= first && code <= last);
    places = new Set([...places].flatMap((at) => edges[at]!.filter(isIn).map(({ to }) => to)));
  }
  return [...places].some((at) => ends[at]);
}

/** Whether it takes no text at all. */
export function isEmpty({ start, edges, ends }: CharAutomaton): boolean {
  const seen = new Set([start]);
  for (const at of seen) {
    if (ends[at]) return false;
    for (const { to } of edges[at]!) seen.add(to);
  }
  return true;
}

/** Writes the automaton's texts between two states. */
export function writeAutomaton(
  builder: GrammarBuilder,
  from: number,
  { start, edges, ends }: CharAutomaton,
  to: number,
  write: WriteChars,
): void {
  const states = edges.map(() => builder.state());
  builder.skip(from, states[start]!);
  edges.forEach((out, at) => {
    for (const { set, to: next } of out) write(builder, states[at]!, set, states[next]!);
    if (ends[at]) builder.skip(states[at]!, to);
  });
}
