import { invalidArgument } from "../../errors.ts";
import type { Grammar } from "./grammar.ts";

/** A state within a rule that has been called, what its loop may still do, and where the rule goes back to. */
export interface Frame {
  readonly id: number;
  readonly state: number;
  /** How often the loop must run yet. */
  readonly need: number;
  /** How often it may run yet. */
  readonly room: number;
  /** null: the grammar's end, or the end of what is looked at. */
  readonly parent: Frame | null;
  readonly children: Map<string | number, Frame>;
}

/** Where a text may stand: all frames that its bytes can have led to. */
export interface Place {
  /** Each of a state with edges of bytes. */
  readonly frames: readonly Frame[];
  /** The text may end here. */
  readonly ends: boolean;
  /** By class of byte; null: no text goes on so. */
  readonly next: (Place | null | undefined)[];
}

/** More places and frames than that are forgotten, and found anew where they are needed. */
const MOST_KEPT = 100_000;

/** Frames at one place of a text: more are refused, since a page must not run out of memory. */
const MOST_FRAMES = 20_000;

/**
 * Steps through a grammar byte by byte. What it finds out it keeps, for all texts. Its methods throw invalid_argument,
 * naming `field`, where a text can be read in too many ways at once.
 */
export class Matcher {
  readonly grammar: Grammar;
  /** The place of the grammar in the request. */
  private readonly field: string;
  /** Frames and places kept. */
  private kept = 0;
  private ids = 0;
  private roots = new Map<string | number, Frame>();
  private places = new Map<string, Place>();
  private returns = new WeakMap<Frame, Place>();

  constructor(grammar: Grammar, field: string) {
    this.grammar = grammar;
    this.field = field;
  }

  start(): Place {
    return this.close([this.frame(this.grammar.start, 0, 0, null)]);
  }

  /** Where `byte` leads; null: nowhere. */
  step(place: Place, byte: number): Place | null {
    const kind = this.grammar.classOf[byte]!;
    const known = place.next[kind];
    if (known !== undefined) return known;
    const reached: Frame[] = [];
    for (const { state, need, room, parent } of place.frames)
      for (const { first, last, to } of this.grammar.states[state]!.bytes)
        if (byte >= first && byte <= last) reached.push(this.frame(to, need, room, parent));
    const next = reached.length > 0 ? this.close(reached) : null;
    place.next[kind] = next;
    return next;
  }

  /** Where the text is once the rule above `frame` is through. */
  back(frame: Frame): Place {
    const known = this.returns.get(frame);
    if (known) return known;
    const place = this.close([frame]);
    this.returns.set(frame, place);
    return place;
  }

  /**
   * A frame by itself, whose loop may have run so often that nothing within `horizon` rounds tells it from others; as
   * often as it likes where its rounds can be counted in the text.
   */
  alone({ state, need, room }: Frame, horizon: number): Place {
    if (this.grammar.states[state]!.loop !== undefined)
      return this.place([this.frame(state, 0, Number.POSITIVE_INFINITY, null)], false);
    const far = horizon + 1;
    return this.place([this.frame(state, Math.min(need, far), Math.min(room, far), null)], false);
  }

  private frame(state: number, need: number, room: number, parent: Frame | null): Frame {
    const children = parent?.children ?? this.roots;
    const key = need === 0 && room === 0 ? state : `${state} ${need} ${room}`;
    const known = children.get(key);
    if (known) return known;
    const frame = { id: this.ids++, state, need, room, parent, children: new Map() };
    this.kept += 1;
    children.set(key, frame);
    return frame;
  }

  /** All frames that those of `from` become without reading anything. */
  private close(from: readonly Frame[]): Place {
    const { states } = this.grammar;
    const seen = new Set<Frame>();
    const kept: Frame[] = [];
    const open = [...from];
    const wider = new Widest();
    let ends = false;
    for (let frame = open.pop(); frame; frame = open.pop()) {
      if (seen.has(frame) || wider.has(frame)) continue;
      seen.add(frame);
      if (seen.size > MOST_FRAMES)
        throw invalidArgument(
          this.field,
          `a text can be read in more than ${MOST_FRAMES} ways at once`,
          "Make its parts begin with different characters.",
        );
      wider.add(frame);
      const { state, need, room, parent } = frame;
      const { bytes, empty, ends: returns } = states[state]!;
      if (bytes.length > 0) kept.push(frame);
      if (returns && parent) open.push(parent);
      else if (returns) ends = true;
      for (const edge of empty) {
        if (edge.kind === "skip") open.push(this.frame(edge.to, need, room, parent));
        else if (edge.kind === "call") {
          const back = edge.tail ? parent : this.frame(edge.to, need, room, parent);
          open.push(this.frame(edge.rule, 0, 0, back));
        } else if (edge.kind === "count")
          open.push(this.frame(edge.to, edge.min, edge.max, parent));
        else if (edge.kind === "again" && room > 0)
          open.push(this.frame(edge.to, Math.max(0, need - 1), room - 1, parent));
        else if (edge.kind === "leave" && need === 0) open.push(this.frame(edge.to, 0, 0, parent));
      }
    }
    return this.place(
      kept.filter((frame) => !wider.has(frame)),
      ends,
    );
  }

  private place(frames: readonly Frame[], ends: boolean): Place {
    const sorted = [...frames].sort((a, b) => a.id - b.id);
    const key = `${ends ? "." : ""}${sorted.map(({ id }) => id).join()}`;
    const known = this.places.get(key);
    if (known) return known;
    const place = { frames: sorted, ends, next: [] };
    this.kept += 1;
    if (this.kept > MOST_KEPT) this.forget();
    this.places.set(key, place);
    return place;
  }

  private forget(): void {
    this.places = new Map();
    this.returns = new WeakMap();
    this.roots = new Map();
    this.kept = 0;
  }
}

/** Of frames that differ in what their loop may still do alone, the one that may do the most: it takes what the others take. */
class Widest {
  private readonly rooms = new Map<Frame | null, Map<number, number>>();

  add({ state, need, room, parent }: Frame): void {
    if (need > 0 || room === 0) return;
    const rooms = this.rooms.get(parent);
    if (rooms) rooms.set(state, room);
    else this.rooms.set(parent, new Map([[state, room]]));
  }

  /** Whether there is one that may do more than `frame`. */
  has({ state, room, parent }: Frame): boolean {
    return this.rooms.size > 0 && (this.rooms.get(parent)?.get(state) ?? 0) > room;
  }
}
