/**
 * A grammar as one automaton over bytes whose rules call each other: what a text must be like, made by `GrammarBuilder`.
 *
 * A state has edges of bytes, edges that read nothing, calls of rules, and the edges of a counted loop. A rule has at
 * most one counted loop at a time, whose counts lie in the rule's frame (see `Frame` in matcher.ts).
 */
export interface Grammar {
  readonly states: readonly GrammarState[];
  readonly start: number;
  /** For each byte its class: bytes that no edge tells apart. */
  readonly classOf: Uint8Array;
  readonly classes: number;
}

export interface GrammarState {
  readonly bytes: readonly ByteEdge[];
  readonly empty: readonly EmptyEdge[];
  /** The end of its rule. */
  readonly ends: boolean;
  /**
   * Within a loop whose every round is told from the next by its bytes alone, as characters are: how often it has run
   * follows from the text. Loops of one name are the same in all grammars; "": it has none.
   */
  readonly loop?: string;
}

export interface ByteEdge {
  /** A byte of each class that it takes stands for the class. */
  readonly first: number;
  readonly last: number;
  readonly to: number;
}

export type EmptyEdge =
  | { readonly kind: "skip"; readonly to: number }
  /** Runs the rule that begins at `rule`, then goes on at `to`; `tail`: there is nothing there but the rule's end. */
  | { readonly kind: "call"; readonly rule: number; readonly to: number; tail: boolean }
  /** Begins a loop that runs `min` to `max` times. */
  | { readonly kind: "count"; readonly min: number; readonly max: number; readonly to: number }
  /** Runs it once more, where it may. */
  | { readonly kind: "again"; readonly to: number }
  /** Ends it, where it has run often enough. */
  | { readonly kind: "leave"; readonly to: number };

/** A part of a grammar with a beginning and an end of its own. */
export interface Rule {
  readonly start: number;
  readonly end: number;
}

interface OpenState {
  bytes: ByteEdge[];
  empty: EmptyEdge[];
  ends: boolean;
  loop?: string;
}

/** More states than that are refused: a page must not run out of memory. */
const MOST_STATES = 400_000;

/** Thrown where a grammar cannot be had; whoever knows its place in the request says where. */
export class GrammarError extends Error {}

export class GrammarBuilder {
  private readonly states: OpenState[] = [];
  private readonly rules = new Map<string, Rule>();

  state(): number {
    if (this.states.length >= MOST_STATES)
      throw new GrammarError("it needs too many states; lower its counts, or divide it");
    return this.states.push({ bytes: [], empty: [], ends: false }) - 1;
  }

  bytes(from: number, first: number, last: number, to: number): void {
    this.states[from]!.bytes.push({ first, last, to });
  }

  skip(from: number, to: number): void {
    this.states[from]!.empty.push({ kind: "skip", to });
  }

  call(from: number, rule: Rule, to: number): void {
    this.states[from]!.empty.push({ kind: "call", rule: rule.start, to, tail: false });
  }

  /**
   * Runs `body` `min` to `max` times, where that is all that the rule does and `body` reads something. `loop`: see
   * `GrammarState`.
   */
  count(
    from: number,
    min: number,
    max: number,
    body: (from: number, to: number) => void,
    to: number,
    loop?: string,
  ): void {
    const [head, inside] = [this.state(), this.state()];
    this.states[from]!.empty.push({ kind: "count", min, max, to: head });
    this.states[head]!.empty.push({ kind: "again", to: inside }, { kind: "leave", to });
    body(inside, head);
    if (loop === undefined) return;
    for (let state = inside; state < this.states.length; state += 1)
      this.states[state]!.loop = loop && `${loop} ${state - inside}`;
  }

  /** The rule of a name, which `define` makes when it is first asked for; it may call itself. */
  rule(name: string, define: (from: number, to: number) => void): Rule {
    const known = this.rules.get(name);
    if (known) return known;
    const rule = { start: this.state(), end: this.state() };
    this.states[rule.end]!.ends = true;
    this.rules.set(name, rule);
    define(rule.start, rule.end);
    return rule;
  }

  /** A rule that nobody else can ask for. */
  own(define: (from: number, to: number) => void): Rule {
    return this.rule(` ${this.states.length}`, define);
  }

  /**
   * The grammar whose texts are those of `root`. Parts that no text can go through are taken out, so that what has begun
   * can always be ended. Throws where no text is left, or a rule begins with itself.
   */
  finish(root: Rule): Grammar {
    this.prune(root);
    this.checkLeftRecursion(this.nullable());
    const { states } = this;
    for (const { empty } of states)
      for (const edge of empty)
        if (edge.kind === "call") {
          const { bytes, empty: after, ends } = states[edge.to]!;
          edge.tail = ends && bytes.length === 0 && after.length === 0;
        }
    return { states, start: root.start, ...byteClasses(states) };
  }

  /** Takes out edges to where no rule's end can be reached, and calls of rules that never end. */
  private prune(root: Rule): void {
    const { states } = this;
    // Which states can reach their rule's end; a call counts once its rule can.
    const before: number[][] = states.map(() => []);
    const calls: { from: number; rule: number; to: number }[] = [];
    const byRule = new Map<number, typeof calls>();
    const note = <K>(map: Map<K, typeof calls>, key: K, call: (typeof calls)[number]): void => {
      const list = map.get(key);
      if (list) list.push(call);
      else map.set(key, [call]);
    };
    const byTarget = new Map<number, typeof calls>();
    states.forEach(({ bytes, empty }, from) => {
      for (const { to } of bytes) before[to]!.push(from);
      for (const edge of empty)
        if (edge.kind === "call") {
          const call = { from, rule: edge.rule, to: edge.to };
          note(byRule, edge.rule, call);
          note(byTarget, edge.to, call);
        } else if (edge.kind !== "again") before[edge.to]!.push(from);
    });
    const good = states.map(() => false);
    const open = states.flatMap(({ ends }, state) => (ends ? [state] : []));
    // A loop that must run is good only where its inside is: looked at once its head can leave.
    for (const state of open) good[state] = true;
    const mark = (state: number): void => {
      if (good[state]) return;
      good[state] = true;
      open.push(state);
    };
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      for (const from of before[state]!) mark(from);
      for (const { from, to } of byRule.get(state) ?? []) if (good[to]) mark(from);
      for (const { from, rule } of byTarget.get(state) ?? []) if (good[rule]) mark(from);
    }
    let changed = false;
    for (const state of states) {
      state.bytes = state.bytes.filter(({ to }) => good[to]);
      state.empty = state.empty.filter((edge) => {
        if (!good[edge.to]) return false;
        return edge.kind !== "call" || good[edge.rule];
      });
    }
    // A loop whose inside cannot be run runs no time at all.
    for (const state of states)
      state.empty = state.empty.filter((edge) => {
        if (edge.kind !== "count" || edge.min === 0) return true;
        const runs = states[edge.to]!.empty.some(({ kind }) => kind === "again");
        changed ||= !runs;
        return runs;
      });
    if (changed) this.prune(root);
    else if (!good[root.start]) throw new GrammarError("no text fits it");
  }

  /** Throws where a rule calls itself before it has read anything. */
  private checkLeftRecursion(nullable: readonly boolean[]): void {
    const rules = [...this.rules.values()].map(({ start }) => start);
    const calls = new Map(rules.map((rule) => [rule, this.leading(rule, nullable)]));
    const [OPEN, DONE] = [1, 2];
    const seen = new Map<number, number>();
    // Depth first, without recursion: texts of users may nest deeply.
    for (const root of rules) {
      const path = seen.has(root) ? [] : [root];
      for (let rule = path.at(-1); rule !== undefined; rule = path.at(-1)) {
        seen.set(rule, OPEN);
        const next = calls.get(rule)!.pop();
        if (next === undefined) seen.set(path.pop()!, DONE);
        else if (seen.get(next) === OPEN)
          throw new GrammarError("a rule begins with itself, which is not supported");
        else if (!seen.has(next)) path.push(next);
      }
    }
  }

  /** The rules that a rule may call before it has read anything. */
  private leading(rule: number, nullable: readonly boolean[]): number[] {
    const calls = new Set<number>();
    const reached = new Set([rule]);
    for (const state of reached)
      for (const edge of this.states[state]!.empty) {
        if (edge.kind === "call") calls.add(edge.rule);
        if (edge.kind !== "call" || nullable[edge.rule]) reached.add(edge.to);
      }
    return [...calls];
  }

  /**
   * From which states a rule's end is reached without reading anything. Loops whose rounds may read nothing need not run:
   * their least count becomes 0.
   */
  private nullable(): boolean[] {
    const { states } = this;
    const nullable = states.map(({ ends }) => ends);
    /** From where the next round of a loop is reached without reading anything. */
    const rounds = states.map(({ empty }) => empty.some(({ kind }) => kind === "again"));
    const passes = (edge: EmptyEdge): boolean =>
      edge.kind === "call" ? nullable[edge.rule]! : edge.kind !== "count" || edge.min === 0;
    for (let changed = true; changed; ) {
      changed = false;
      states.forEach(({ empty }, state) => {
        empty.forEach((edge, i) => {
          if (edge.kind !== "count" || edge.min === 0) return;
          const inside = states[edge.to]!.empty.find(({ kind }) => kind === "again");
          if (!inside || !rounds[inside.to]) return;
          empty[i] = { ...edge, min: 0 };
          changed = true;
        });
        for (const reached of [nullable, rounds]) {
          if (reached[state]) continue;
          reached[state] = empty.some((edge) => reached[edge.to] && passes(edge));
          changed ||= reached[state]!;
        }
      });
    }
    return nullable;
  }
}

function byteClasses(states: readonly GrammarState[]): { classOf: Uint8Array; classes: number } {
  const begins = new Uint8Array(257);
  for (const { bytes } of states)
    for (const { first, last } of bytes) [begins[first], begins[last + 1]] = [1, 1];
  const classOf = new Uint8Array(256);
  let last = 0;
  for (let byte = 1; byte < 256; byte += 1) classOf[byte] = last += begins[byte]!;
  return { classOf, classes: last + 1 };
}
