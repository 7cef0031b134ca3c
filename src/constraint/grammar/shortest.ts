import type { Grammar, GrammarState } from "./grammar.ts";
import type { Frame, Matcher, Place } from "./matcher.ts";

/** How few bytes end a text, from wherever it stands. */
export class Shortest {
  private readonly matcher: Matcher;
  private readonly toEnd: Float64Array;
  private readonly toHead: Float64Array;
  private readonly rests = new WeakMap<Frame | Place, number>();

  constructor(matcher: Matcher) {
    this.matcher = matcher;
    [this.toEnd, this.toHead] = distances(matcher.grammar);
  }

  /** Bytes that end a text which stands there. */
  rest(place: Place): number {
    if (place.ends) return 0;
    const known = this.rests.get(place);
    if (known !== undefined) return known;
    let rest = Number.POSITIVE_INFINITY;
    for (const frame of place.frames)
      rest = Math.min(rest, this.toEnd[frame.state]! + this.beyond(frame));
    this.rests.set(place, rest);
    return rest;
  }

  /** Bytes that the frame needs besides those from its state to its rule's end: rounds of its loop, and what its parents need. */
  beyond(frame: Frame): number {
    const known = this.rests.get(frame);
    if (known !== undefined) return known;
    const { need, parent, state } = frame;
    const rounds = need > 0 ? need * this.round(state) : 0;
    const beyond = rounds + (parent ? this.toEnd[parent.state]! + this.beyond(parent) : 0);
    this.rests.set(frame, beyond);
    return beyond;
  }

  /** The bytes of a shortest end. */
  text(from: Place): number[] {
    const bytes: number[] = [];
    for (let place = from; this.rest(place) > 0; ) {
      const byte = this.nearer(place);
      bytes.push(byte);
      place = this.matcher.step(place, byte)!;
    }
    return bytes;
  }

  private nearer(place: Place): number {
    const rest = this.rest(place);
    for (const { state } of place.frames)
      for (const { first } of this.matcher.grammar.states[state]!.bytes)
        if (this.rest(this.matcher.step(place, first)!) < rest) return first;
    throw new RangeError("no byte leads nearer to the end");
  }

  /** Bytes of one round of the loop that a state is in. */
  private round(state: number): number {
    const { states } = this.matcher.grammar;
    const seen = new Set([state]);
    for (const at of seen) {
      const { bytes, empty } = states[at]!;
      const again = againOf(states[at]!);
      if (again !== undefined) return this.toHead[again]!;
      for (const { to } of bytes) seen.add(to);
      for (const edge of empty) seen.add(edge.to);
    }
    return 0;
  }
}

const againOf = ({ empty }: GrammarState): number | undefined =>
  empty.find(({ kind }) => kind === "again")?.to;

/** Bytes from each state to the end of its rule, where its loop need not run, and to its loop's next round. */
function distances({ states }: Grammar): [Float64Array, Float64Array] {
  const toEnd = new Float64Array(states.length).fill(Number.POSITIVE_INFINITY);
  const toHead = toEnd.slice();
  const users: number[][] = states.map(() => []);
  states.forEach(({ bytes, empty }, state) => {
    for (const { to } of bytes) users[to]!.push(state);
    for (const edge of empty) {
      users[edge.to]!.push(state);
      if (edge.kind === "call") users[edge.rule]!.push(state);
      const inside = edge.kind === "count" ? againOf(states[edge.to]!) : undefined;
      if (inside !== undefined) users[inside]!.push(state);
    }
  });
  const look = (state: number): boolean => {
    const { bytes, empty, ends } = states[state]!;
    let [end, head] = [ends ? 0 : toEnd[state]!, toHead[state]!];
    for (const { to } of bytes) {
      end = Math.min(end, 1 + toEnd[to]!);
      head = Math.min(head, 1 + toHead[to]!);
    }
    for (const edge of empty) {
      if (edge.kind === "again") head = 0;
      else if (edge.kind === "count") {
        const inside = againOf(states[edge.to]!);
        const rounds = edge.min === 0 || inside === undefined ? 0 : edge.min * toHead[inside]!;
        end = Math.min(end, rounds + toEnd[edge.to]!);
      } else {
        const called = edge.kind === "call" ? toEnd[edge.rule]! : 0;
        end = Math.min(end, called + toEnd[edge.to]!);
        if (edge.kind !== "leave") head = Math.min(head, called + toHead[edge.to]!);
      }
    }
    const nearer = end < toEnd[state]! || head < toHead[state]!;
    [toEnd[state], toHead[state]] = [end, head];
    return nearer;
  };
  // From the ends on, until nothing is nearer.
  let open = new Set(states.keys());
  while (open.size > 0) {
    const next = new Set<number>();
    for (const state of open) if (look(state)) for (const user of users[state]!) next.add(user);
    open = next;
  }
  return [toEnd, toHead];
}
