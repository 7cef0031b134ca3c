import type { Constraint } from "../../../constraint/constraint.ts";
import { assume } from "../../../errors.ts";
import { begunAtEnd } from "../../../text/stop-matcher.ts";
import type { ThoughtMarkers } from "../../../text/template/thought-markers.ts";
import type { Tokenizer } from "../../../text/types.ts";

/** Most tokens that are waited for the end of a character, once a thought is over its budget. */
const CHARACTER = 3;
/** Most line ends between a thought and an answer of some format. */
const LINES = 2;

/** What the constraints of one answer share. */
interface Held {
  readonly tokenizer: Tokenizer;
  readonly markers: ThoughtMarkers;
  /** Ids that open a thought, and that close one which is over its budget. */
  readonly opening: readonly number[];
  readonly closing: readonly number[];
  /** Tokens that may stand between a thought and an answer of some format: line ends. */
  readonly gap: readonly number[];
  /** Control tokens in the markers, by id. */
  readonly controls: ReadonlyMap<number, string>;
  readonly budget: number;
}

/**
 * Closes a thought that is over its budget, or that leaves too few tokens for an answer of some format, and holds what
 * comes behind the thought to a format: within it every token is allowed, but the end of the answer where a format is
 * still to come. Without a thought the format holds from the start.
 */
export class ThoughtConstraint implements Constraint {
  private readonly held: Held;
  /** What the answer is held to behind the thought; undefined: any text. */
  private readonly inner: Constraint | undefined;
  private phase: "before" | "inside" | "gap" | "behind";
  /** What must come next: the rest of a marker. */
  private queue: readonly number[] = [];
  /** Tokens of the thought so far. */
  private spent = 0;
  /** Most tokens of the thought that leave enough for an answer of the format; known with the first mask. */
  private room: number | undefined;
  /** Line ends behind the thought so far. */
  private lines = 0;
  /** The end of the thought's text, a character a byte. */
  private tail = "";

  /** `opened`: the prompt ends inside the thought. `budget`: most tokens of a thought. */
  static create(
    tokenizer: Tokenizer,
    markers: ThoughtMarkers,
    opened: boolean,
    {
      budget = Number.POSITIVE_INFINITY,
      inner,
    }: { budget?: number | undefined; inner?: Constraint | undefined },
  ): ThoughtConstraint {
    const idsOf = (text: string) => tokenizer.encode(text, { special: true });
    const spellings = markers.controls ?? [markers.open, markers.close];
    const controls = spellings.flatMap((text): [number, string][] => {
      const ids = idsOf(text);
      return ids.length === 1 ? [[ids[0]!, text]] : [];
    });
    const gap = ["\n", "\n\n"].map(idsOf).filter(({ length }) => length === 1);
    const held = {
      tokenizer,
      markers,
      opening: idsOf(markers.open),
      closing: idsOf(`\n${markers.close}\n\n`),
      gap: gap.flat(),
      controls: new Map(controls),
      budget,
    };
    const constraint = new ThoughtConstraint(held, opened ? "inside" : "before", inner);
    if (opened) constraint.closeIfSpent();
    return constraint;
  }

  private constructor(
    held: Held,
    phase: ThoughtConstraint["phase"],
    inner: Constraint | undefined,
  ) {
    this.held = held;
    this.phase = phase;
    this.inner = inner;
  }

  get mayEnd(): boolean {
    return (
      this.queue.length === 0 && (this.inner === undefined || (this.reached && this.inner.mayEnd))
    );
  }

  get over(): boolean {
    return this.queue.length === 0 && this.reached && (this.inner?.over ?? false);
  }

  get enough(): number {
    const closing = this.phase === "inside" ? this.held.closing.length : 0;
    return this.queue.length + closing + (this.inner?.enough ?? 0);
  }

  get hurried(): boolean {
    return this.inner?.hurried ?? false;
  }

  mask(into: Uint32Array, left?: number): void {
    if (this.room === undefined) this.makeRoom(left);
    const { inner, held, phase } = this;
    const [next] = this.queue;
    if (next !== undefined) {
      into.fill(0);
      allow(next, into);
    } else if (!inner) into.fill(0xffffffff);
    else if (phase === "inside") {
      into.fill(0xffffffff);
      for (const token of held.tokenizer.endTokens) forbid(token, into);
      for (const token of this.overshooting()) forbid(token, into);
    } else {
      inner.mask(into, left);
      for (const token of this.beside) allow(token, into);
    }
  }

  allows(token: number): boolean {
    const { inner, held } = this;
    if (this.queue.length > 0) return token === this.queue[0];
    if (!inner) return true;
    if (this.phase === "inside")
      return !held.tokenizer.endTokens.has(token) && !this.overshoots(token);
    return this.beside.includes(token) || inner.allows(token);
  }

  forced(limit: number): readonly number[] {
    if (this.queue.length > 0) return this.queue.slice(0, limit);
    // Beside what the format knows there is another way to go on.
    return this.phase === "behind" && this.inner ? this.inner.forced(limit) : [];
  }

  accept(token: number): void {
    assume(this.allows(token), () => `token ${token} is not what the answer's format allows`);
    if (this.queue.length > 0) {
      this.queue = this.queue.slice(1);
      if (this.queue.length === 0 && this.phase === "inside") this.closeIfSpent();
    } else if (this.phase === "inside") this.think(token);
    else if (this.phase === "before") this.begin(token);
    else if (this.phase === "gap" && this.beside.includes(token) && !this.inner?.allows(token))
      this.lines += this.spell(token).length;
    else {
      this.phase = "behind";
      this.inner?.accept(token);
    }
  }

  fork(): ThoughtConstraint {
    const { held, phase, inner, queue, spent, room, lines, tail } = this;
    const copy = new ThoughtConstraint(held, phase, inner?.fork());
    return Object.assign(copy, { queue, spent, room, lines, tail });
  }

  /** The answer itself has been reached. */
  private get reached(): boolean {
    return this.phase === "gap" || this.phase === "behind";
  }

  /** Tokens that may come beside those of the format. */
  private get beside(): readonly number[] {
    const { phase, held } = this;
    if (phase === "gap" && !this.hurried)
      return held.gap.filter((token) => this.lines + this.spell(token).length <= LINES);
    // Without room for any thought none is begun.
    return phase === "before" && (this.room ?? 0) >= 0 ? held.opening.slice(0, 1) : [];
  }

  /** `left`: how many tokens there are for the thought and the answer. */
  private makeRoom(left = Number.POSITIVE_INFINITY): void {
    const { phase, enough } = this;
    const { opening, closing } = this.held;
    const markers = phase === "before" ? opening.length + closing.length : 0;
    // An answer that may be empty needs no room.
    this.room = this.inner?.enough ? left - enough - markers - CHARACTER : Number.POSITIVE_INFINITY;
    if (phase === "inside" && this.queue.length === 0) this.closeIfSpent();
  }

  private begin(token: number): void {
    const { opening, markers } = this.held;
    if (this.inner) {
      // One token that opens a thought is not meant as text.
      const opens = token === opening[0] && (opening.length === 1 || !this.inner.allows(token));
      if (opens) [this.phase, this.queue] = ["inside", opening.slice(1)];
      else {
        this.phase = "behind";
        this.inner.accept(token);
      }
    } else {
      this.tail = (this.tail + this.spell(token)).trimStart();
      if (this.tail.startsWith(markers.open)) {
        this.phase = "inside";
        this.tail = this.tail.slice(markers.open.length);
      } else if (!markers.open.startsWith(this.tail)) this.phase = "behind";
    }
    if (this.phase === "inside" && this.queue.length === 0) this.closeIfSpent();
  }

  private think(token: number): void {
    const { close } = this.held.markers;
    this.spent += 1;
    this.tail = (this.tail + this.spell(token)).slice(-64 - close.length);
    if (this.tail.includes(close)) this.phase = "gap";
    else this.closeIfSpent();
  }

  /** Closes the thought where it has no tokens left, and not in the middle of a character. */
  private closeIfSpent(): void {
    const over = this.spent - Math.min(this.held.budget, this.room ?? Number.POSITIVE_INFINITY);
    if (over < 0 || (over < CHARACTER && endsInCharacter(this.tail))) return;
    this.queue = this.held.closing;
    this.phase = "behind";
  }

  private spell(token: number): string {
    const { controls, tokenizer } = this.held;
    return controls.get(token) ?? String.fromCharCode(...tokenizer.tokenBytes(token));
  }

  /** Whether a token closes the thought and goes on with what the format would not see. */
  private overshoots(token: number): boolean {
    const { close } = this.held.markers;
    const text = this.tail.slice(-close.length) + this.spell(token);
    const end = text.indexOf(close);
    return end >= 0 && text.slice(end + close.length).trim() !== "";
  }

  private *overshooting(): Generator<number> {
    // Most of the time nothing of the marker is there.
    if (begunAtEnd(this.tail, this.held.markers.close) === 0) return;
    for (let token = 0; token < this.held.tokenizer.vocabSize; token += 1)
      if (this.overshoots(token)) yield token;
  }
}

/** Whether bytes end in the middle of a character of UTF-8. */
function endsInCharacter(bytes: string): boolean {
  for (let back = 1; back <= 3 && back <= bytes.length; back += 1) {
    const byte = bytes.charCodeAt(bytes.length - back);
    if (byte < 0x80) return false;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2);
  }
  return false;
}

const allow = (token: number, mask: Uint32Array): void => {
  mask[token >>> 5]! |= 1 << (token & 31);
};
const forbid = (token: number, mask: Uint32Array): void => {
  mask[token >>> 5]! &= ~(1 << (token & 31));
};
