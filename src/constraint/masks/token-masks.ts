import type { Frame, Matcher, Place } from "../grammar/matcher.ts";
import type { Shortest } from "../grammar/shortest.ts";
import { ROOT, type TokenTrie } from "./token-trie.ts";

/** What the tokens do that begin in a frame by itself. */
interface Local {
  /** Tokens that stay within it: bits [ceil(V / 32)]. */
  readonly inside: Uint32Array;
  /** Nodes of the trie at which its rule ends: how their tokens go on is for the frame's parent to say. */
  readonly leaves: readonly Leaf[];
  /** The nodes right behind those, by their byte: most are of bytes with which nothing goes on. */
  readonly behind: ReadonlyMap<number, readonly Leaf[]>;
  /** Tokens that begin n rounds of the frame's loop, by n from 1 on. */
  readonly begun: readonly (readonly number[])[];
  /** `inside` without those that begin more than n rounds. */
  readonly upTo: (Uint32Array | undefined)[];
  /** Most bytes that the frame may need for its end behind one of `inside`. */
  readonly farthest: number;
}

interface Leaf {
  readonly node: number;
  /** Rounds of the loop that begin up to it. */
  readonly begun: number;
}

/** Frames whose tokens are kept. Each takes V / 8 bytes. */
const MOST_LOCALS = 512;

/** Frames of loops that are the same in all grammars. */
const shared = new WeakMap<TokenTrie, Map<string, Local>>();

/**
 * Which tokens may come next. The dear part, going through the whole vocabulary, depends on the innermost rule
 * alone: it is done once for a frame without its parents, and shared by all places of a text that are like it. Strings are
 * alike whatever their bounds, in all grammars. What is left for each place are the few tokens that end the rule and go
 * on behind it.
 */
export class TokenMasks {
  private readonly matcher: Matcher;
  private readonly shortest: Shortest;
  private readonly trie: TokenTrie;
  private readonly locals = new Map<Place, Local>();
  private readonly shared: Map<string, Local>;
  /** Places from the root to the node that is looked at, and rounds that begin up to there. */
  private readonly path: Place[];
  private readonly begun: Uint16Array;

  constructor(matcher: Matcher, shortest: Shortest, trie: TokenTrie) {
    this.matcher = matcher;
    this.shortest = shortest;
    this.trie = trie;
    this.path = new Array<Place>(trie.depth + 1);
    this.begun = new Uint16Array(trie.depth + 1);
    this.shared = shared.get(trie) ?? new Map();
    shared.set(trie, this.shared);
  }

  /** Sets the bits [ceil(V / 32)] of tokens behind which at most `rest` bytes end the text, and clears all others. */
  fill(place: Place, mask: Uint32Array, rest = Number.POSITIVE_INFINITY): void {
    mask.fill(0);
    for (const frame of place.frames) {
      const { loop } = this.matcher.grammar.states[frame.state]!;
      const local = this.local(frame, loop);
      if (local.farthest + this.shortest.beyond(frame) > rest) {
        // Few answers come so near to their limit: each token is looked at.
        mask.fill(0);
        this.walk(ROOT, place, mask, rest);
        return;
      }
      const inside = loop === undefined ? local.inside : this.upTo(local, frame.room);
      for (let word = 0; word < mask.length; word += 1) mask[word]! |= inside[word]!;
      this.goOn(frame, loop !== undefined, local, mask, rest);
    }
  }

  /** The tokens that end the frame's rule. */
  private goOn(
    { parent, need, room }: Frame,
    counted: boolean,
    local: Local,
    mask: Uint32Array,
    rest: number,
  ): void {
    const fits = ({ begun }: Leaf): boolean => !counted || (begun >= need && begun <= room);
    const back = parent && this.matcher.back(parent);
    if (!back || this.shortest.rest(back) <= rest)
      for (const leaf of local.leaves) if (fits(leaf)) this.allow(leaf.node, mask);
    if (!back) return;
    for (const [byte, nodes] of local.behind) {
      const next = this.matcher.step(back, byte);
      if (!next) continue;
      const near = this.shortest.rest(next) <= rest;
      for (const leaf of nodes) {
        if (!fits(leaf)) continue;
        if (near) this.allow(leaf.node, mask);
        this.walk(leaf.node, next, mask, rest);
      }
    }
  }

  private local(frame: Frame, loop: string | undefined): Local {
    if (loop) {
      const known = this.shared.get(loop);
      if (known) return known;
      const local = this.look(frame);
      this.shared.set(loop, local);
      return local;
    }
    const place = this.matcher.alone(frame, this.trie.longest);
    const known = this.locals.get(place);
    this.locals.delete(place);
    const local = known ?? this.look(frame);
    this.locals.set(place, local);
    if (this.locals.size > MOST_LOCALS) this.locals.delete(this.locals.keys().next().value!);
    return local;
  }

  private look(frame: Frame): Local {
    const inside = new Uint32Array(Math.ceil(this.trie.vocabulary / 32));
    const leaves: Leaf[] = [];
    const begun: number[][] = [[]];
    const place = this.matcher.alone(frame, this.trie.longest);
    const found = { leaves, begun, farthest: 0 };
    this.walk(ROOT, place, inside, Number.POSITIVE_INFINITY, found);
    return { inside, ...found, behind: this.nodesBehind(leaves), upTo: [] };
  }

  private nodesBehind(leaves: readonly Leaf[]): Map<number, Leaf[]> {
    const { bytes, after } = this.trie;
    const nodes = new Map<number, Leaf[]>();
    for (const { node, begun } of leaves)
      for (let at = node + 1; at < after[node]!; at = after[at]!) {
        const alike = nodes.get(bytes[at]!);
        if (alike) alike.push({ node: at, begun });
        else nodes.set(bytes[at]!, [{ node: at, begun }]);
      }
    return nodes;
  }

  /** The tokens within a loop that may begin `room` more rounds. */
  private upTo({ inside, begun, upTo }: Local, room: number): Uint32Array {
    if (room >= begun.length - 1) return inside;
    const known = upTo[room];
    if (known) return known;
    const fewer = inside.slice();
    for (const ids of begun.slice(room + 1))
      for (const id of ids) fewer[id >>> 5]! &= ~(1 << (id & 31));
    upTo[room] = fewer;
    return fewer;
  }

  /**
   * Allows what is below a node of the trie, goes on from `place`, and leaves at most `rest` bytes to the end; where it is a
   * frame by itself, takes down in `local` what ends there.
   */
  private walk(
    node: number,
    place: Place,
    mask: Uint32Array,
    rest: number,
    local?: { leaves: Leaf[]; begun: number[][]; farthest: number },
  ): void {
    const { matcher, path, begun, shortest } = this;
    const { bytes, after, depths, firstId, ids } = this.trie;
    const { classOf } = matcher.grammar;
    path[depths[node]!] = place;
    begun[depths[node]!] = 0;
    for (let at = node + 1, end = after[node]!; at < end; ) {
      const depth = depths[at]!;
      const from = path[depth - 1]!;
      const byte = bytes[at]!;
      const known = from.next[classOf[byte]!];
      const next = known === undefined ? matcher.step(from, byte) : known;
      if (next === null) {
        at = after[at]!;
        continue;
      }
      path[depth] = next;
      if (!local) {
        if (shortest.rest(next) <= rest) this.allow(at, mask);
      } else {
        // A round ends where the loop may be left, and the next begins with the byte behind.
        const rounds = begun[depth - 1]! + Number(from.ends);
        begun[depth] = rounds;
        if (rounds >= local.begun.length) local.begun.push([]);
        if (next.ends) local.leaves.push({ node: at, begun: rounds });
        if (next.frames.length > 0) {
          local.farthest = Math.max(local.farthest, shortest.rest(next));
          for (let i = firstId[at]!; i < firstId[at + 1]!; i += 1) {
            mask[ids[i]! >>> 5]! |= 1 << (ids[i]! & 31);
            if (rounds > 0) local.begun[rounds]!.push(ids[i]!);
          }
        }
      }
      at += 1;
    }
  }

  private allow(node: number, mask: Uint32Array): void {
    const { firstId, ids } = this.trie;
    for (let i = firstId[node]!; i < firstId[node + 1]!; i += 1)
      mask[ids[i]! >>> 5]! |= 1 << (ids[i]! & 31);
  }
}
