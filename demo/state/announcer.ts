/**
 * Feeds a polite live region with whole sentences of a growing answer, at most every few seconds, so
 * that a screen reader reads the answer and not its tokens.
 */
export class Announcer {
  #spoken = 0;
  #last = 0;
  readonly #everyMs: number;

  constructor(everyMs = 3000) {
    this.#everyMs = everyMs;
  }

  begin(): void {
    this.#spoken = 0;
    this.#last = 0;
  }

  /** The sentences that are new and complete, or "" where it is too early to speak. `now` in ms. */
  next(text: string, now: number): string {
    if (now - this.#last < this.#everyMs) return "";
    const fresh = text.slice(this.#spoken);
    const end = Math.max(...[". ", "! ", "? ", "\n"].map((mark) => fresh.lastIndexOf(mark)));
    if (end < 0) return "";
    this.#spoken += end + 1;
    this.#last = now;
    return fresh.slice(0, end + 1).trim();
  }

  /** What has not been said yet. */
  rest(text: string): string {
    const fresh = text.slice(this.#spoken).trim();
    this.#spoken = text.length;
    return fresh;
  }
}
