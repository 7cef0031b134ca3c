import type { CacheSettings } from "../../cache/budget.ts";
import { checkpoint, reaches } from "../../cache/sequence/going-back.ts";
import { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { asWinnowError, WinnowError } from "../../errors.ts";
import type { EngineCore } from "../core.ts";
import type { DeviceState } from "../state.ts";
import { needsOf } from "../steps/step-needs.ts";
import { donorFor } from "./donor.ts";
import { cutFor, matchPrefix } from "./prefix.ts";

/**
 * What a chat has in the cache: the tokens seen, their sequence, and the residual stream after the last of them. It is
 * lost with the device it lies on; the tokens can then be run again on another one.
 */
export class Place {
  /** Ids of the tokens that the cache has seen, in order. */
  seen: number[] = [];
  private readonly core: EngineCore;
  private sequence: KvSequence | undefined;
  /** The device the sequence lives on: another one means the cache is gone. */
  private home: DeviceState | undefined;
  /** The residual stream [E] after the token seen last: where a prompt that is all cached goes on from. */
  private lastRow: GPUBuffer | undefined;
  /** How many tokens had been seen when it was kept. */
  private lastRowAt = 0;
  /** What goes on with it at the moment. */
  private uses = 0;
  /** Whether it is a state of another place to go back to. */
  spare = false;
  /** How the chat was before the last prompt, and when that was read: see `mark`. They may have given way. */
  private marks: { before?: Place | undefined; asked?: Place | undefined } = {};

  constructor(core: EngineCore) {
    this.core = core;
  }

  /** The sequence, unless it has given way to others, the device it lived on is gone, or nothing has been seen. */
  get alive(): KvSequence | undefined {
    return this.home === this.core.state ? this.sequence : undefined;
  }

  /** The sequence where there must be one. */
  get live(): KvSequence {
    if (!this.alive) throw new WinnowError("internal", "the conversation has no sequence");
    return this.alive;
  }

  /** Whether it may give way to others. */
  get idle(): boolean {
    return this.uses === 0 && this.alive !== undefined;
  }

  /** From here to `leave` it does not give way to others. */
  use(): void {
    this.uses += 1;
    this.core.holders.touch(this);
  }

  leave(): void {
    this.uses -= 1;
    if (this.uses === 0) this.alive?.states?.settle();
    this.core.holders.touch(this);
  }

  /** Does at once what may need room, which this one must not give. */
  using<T>(work: () => T): T {
    this.use();
    try {
      return work();
    } finally {
      this.leave();
    }
  }

  /** Begins anew, with nothing seen. */
  open(settings: CacheSettings): void {
    this.forget();
    this.settle(new KvSequence(this.core.state.pool, settings));
  }

  /** Frees the pages for those who need them at once. */
  giveWay(): void {
    this.alive?.giveWay();
    this.clear();
  }

  /** Frees the pages. */
  forget(): void {
    this.forgetMarks();
    this.alive?.free();
    this.clear();
  }

  private clear(): void {
    this.forgetMarks();
    this.core.holders.delete(this);
    if (this.lastRow) this.home?.gpu.ledger.destroy(this.lastRow);
    [this.sequence, this.seen, this.lastRow, this.lastRowAt] = [undefined, [], undefined, 0];
  }

  /**
   * Keeps how things stand, as long as nobody needs the memory: an answer asked for anew, or a last message that is
   * edited, then goes on from here, also where something was evicted meanwhile. `tokens`: what may come at most; where
   * nothing is lost by them, and no layer keeps a state, the cache can be cut back without.
   */
  mark(when: "before" | "asked", tokens: number): void {
    this.marks[when]?.giveWay();
    // What was asked is of the turn before.
    if (when === "before") this.marks.asked?.giveWay();
    this.marks = when === "before" ? {} : { before: this.marks.before };
    const { alive } = this;
    if (!alive) return;
    checkpoint(alive);
    if (!alive.states && alive.whole && !alive.losesWith(tokens)) return;
    this.marks[when] = this.spareFork();
  }

  /** A fork to go back to; undefined where there is no room. */
  private spareFork(): Place | undefined {
    try {
      const copy = this.fork();
      copy.spare = true;
      return copy;
    } catch (error) {
      if (asWinnowError(error).code !== "out_of_memory") throw error;
      return undefined;
    }
  }

  /** Frees what could be gone back to: it is of other settings, or of no use any more. */
  forgetMarks(): void {
    for (const mark of [this.marks.before, this.marks.asked]) mark?.giveWay();
    this.marks = {};
  }

  /** Goes on from a mark, in place of what was seen since. */
  private goBack(mark: Place): void {
    const { sequence, seen, lastRow, lastRowAt, home } = mark;
    const { before, asked } = this.marks;
    // What came after it is of no use; its own parts go on here.
    if (mark !== asked) asked?.giveWay();
    [mark.sequence, mark.lastRow] = [undefined, undefined];
    this.core.holders.delete(mark);
    this.marks = {};
    this.giveWay();
    [this.sequence, this.seen, this.lastRow, this.lastRowAt] = [sequence, seen, lastRow, lastRowAt];
    this.home = home;
    this.core.holders.add(this);
    if (before !== mark) this.marks = { before };
  }

  /** The mark that a prompt goes on from with most tokens, and how many these are. */
  private markFor(prompt: readonly number[]): { mark: Place; cached: number } | undefined {
    const found = [this.marks.before, this.marks.asked].flatMap((mark) => {
      if (!mark?.alive) return [];
      const { all } = matchPrefix(this.core.tokenizer, mark.seen, prompt);
      const fits = all > 0 && (all < prompt.length || mark.rowIsLast);
      return fits ? [{ mark, cached: all }] : [];
    });
    return found.sort((a, b) => b.cached - a.cached)[0];
  }

  /** Where steps that were cut short have left a cache that nobody knows, it is as it was before them, or forgotten. */
  leaveTorn(): void {
    if (!this.alive || !(this.alive.torn || this.alive.tokensSeen !== this.seen.length)) return;
    const mark = [this.marks.asked, this.marks.before].find((mark) => mark?.alive);
    if (mark) this.goBack(mark);
    else this.forget();
  }

  /** One that has seen the same and shares the pages until either writes to them. */
  fork(): Place {
    const copy = new Place(this.core);
    const { alive } = this;
    if (!alive) return copy;
    copy.settle(this.using(() => alive.fork()));
    copy.seen = [...this.seen];
    if (this.lastRow && copy.lastRow && this.rowIsLast) {
      this.core.state.gpu.copy(this.lastRow, copy.lastRow);
      copy.lastRowAt = this.lastRowAt;
    }
    return copy;
  }

  /** A fork that can go back to the same as this one. */
  forkWithMarks(): Place {
    const copy = this.fork();
    const { before, asked } = this.marks;
    copy.marks = {
      before: before?.alive && before.spareFork(),
      asked: asked?.alive && asked.spareFork(),
    };
    return copy;
  }

  /** Goes on from a sequence of the present device, and frees what it had. `row`: f32 [E] after the last token, as words. */
  take(sequence: KvSequence, tokens: number[], row: Uint32Array | undefined): void {
    this.forget();
    this.settle(sequence);
    this.seen = tokens;
    if (!row || !this.lastRow) return;
    this.core.state.gpu.write(this.lastRow, row);
    this.lastRowAt = tokens.length;
  }

  /** The residual stream after the token seen last, f32 [E] as words, where it was kept. */
  async readRow(): Promise<Uint32Array<ArrayBuffer> | undefined> {
    if (!this.lastRow || !this.rowIsLast) return undefined;
    return new Uint32Array(await this.core.state.gpu.read(this.lastRow));
  }

  /** Makes the cache fit a prompt: returns how many of its tokens it holds already. `settings`: of a new sequence. */
  reuse(prompt: readonly number[], settings: CacheSettings): number {
    const { alive } = this;
    if (alive) {
      const match = matchPrefix(this.core.tokenizer, this.seen, prompt, prompt.length - 1);
      const { all, allButHalf } = match;
      if (all >= 0 && (all < prompt.length || this.rowIsLast)) return all;
      // A question asked anew or an answer taken back: what comes before it stays.
      const back = this.markFor(prompt);
      const cut = cutFor(this.core.tokenizer, match, this.seen, prompt, reaches(alive, match.seen));
      if (back && !(cut.prompt > back.cached)) {
        this.goBack(back.mark);
        return back.cached;
      }
      if (cut.seen > 0) {
        alive.truncate(cut.seen);
        this.seen.length = cut.seen;
        return cut.prompt;
      }
      // Else half a character that no text shows harms less than to read everything anew.
      if (allButHalf >= 0 && allButHalf < prompt.length) return allButHalf;
    }
    this.forget();
    return this.share(prompt, settings);
  }

  /** Resolves when the kernels are there that `tokens` more may need, and what the file has of those that are `known`; settings may change meanwhile. */
  async compiled(
    { runner }: DeviceState,
    tokens: number,
    of: "prompt" | "answer",
    known?: readonly number[],
  ): Promise<void> {
    const wait = () =>
      this.alive && runner.compiled({ ...needsOf(this.alive, tokens, of), tokens: known });
    for (let waiting = wait(); waiting; waiting = wait()) await waiting;
  }

  /** Resolves when a prompt block is through its layers: ask again then; undefined if none is between two. */
  get unsettled(): Promise<void> | undefined {
    return this.alive && this.core.state.prompts.unsettled(this.alive);
  }

  /** Keeps row `row` of the residual stream, of the token seen last. */
  keepRow(row: number): void {
    if (this.lastRow) this.home?.runner.keepRow(row, this.lastRow);
    this.lastRowAt = this.seen.length;
  }

  /** Encodes that row 0 is kept, of the token whose step is being encoded: the books count it once the step is. */
  encodeRow(encoder: GPUCommandEncoder): void {
    if (this.lastRow) this.home?.runner.encodeKeep(encoder, 0, this.lastRow);
    this.lastRowAt = this.live.tokensSeen + 1;
  }

  /** Has the row of the token seen last copied; `copy` says whether it could. */
  copyRow(copy: (to: GPUBuffer) => boolean): void {
    if (this.lastRow && copy(this.lastRow)) this.lastRowAt = this.seen.length;
  }

  /** Makes what was kept row 0 of the residual stream; false where nothing was. */
  restoreRow(): boolean {
    if (this.lastRow) this.home?.runner.restoreRow(this.lastRow);
    return this.lastRow !== undefined;
  }

  private get rowIsLast(): boolean {
    return this.lastRowAt === this.seen.length;
  }

  /**
   * Starts from the pages of another place that begins alike (a system prompt, say), as long as either writes
   * elsewhere; returns how many tokens they share. At least a page, or nothing is gained.
   */
  private share(prompt: readonly number[], settings: CacheSettings): number {
    const donor = donorFor(this.core.holders, prompt, settings);
    if (!donor) return 0;
    const { place, alive, common } = donor;
    const sequence = place.using(() => alive.fork());
    sequence.truncate(common);
    sequence.setSettings(settings);
    this.settle(sequence);
    this.seen = prompt.slice(0, common);
    return common;
  }

  /** Makes `sequence` this one's on the present device. */
  private settle(sequence: KvSequence): void {
    this.sequence = sequence;
    this.home = this.core.state;
    this.core.holders.add(this);
    const bytes = this.core.config.hidden * 4;
    this.lastRow = this.home.gpu.ledger.storage("activations", "last row", bytes);
  }
}
