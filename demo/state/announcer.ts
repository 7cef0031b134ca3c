import type { ReadProgress } from "../../src/api/types.ts";
import { formatReading } from "../format.ts";
import type { ChatStore } from "./chat-store.ts";

/** The part of a chat that is said. */
type Heard = Pick<ChatStore, "answering" | "entries" | "reading">;

const READING_EVERY_MS = 20_000;

/** Without the signs of Markdown, which are noise when read aloud. */
const plain = (markdown: string): string =>
  markdown
    .replace(/[*_`|]+|^\s*(?:#+|>|-{3,})\s*/gm, " ")
    .replace(/\s+/g, " ")
    .trim();

/**
 * Feeds a polite live region with whole sentences of a growing answer, at most every few seconds, so
 * that a screen reader reads the answer and not its tokens.
 */
export class Announcer {
  #spoken = 0;
  #last = 0;
  #answering = false;
  readonly #everyMs: number;

  constructor(everyMs = 3000) {
    this.#everyMs = everyMs;
  }

  /** What there is to say of a chat that has changed; "" where that is nothing. `now` in ms. */
  hear(chat: Heard, now: number): string {
    const { answering, entries, reading } = chat;
    const last = entries.at(-1);
    if (answering !== this.#answering) {
      this.#answering = answering;
      if (answering) this.begin();
      else if (last?.role === "assistant") return this.rest(last.text);
    }
    if (!answering || last === undefined) return "";
    return reading ? this.reading(reading, now) : this.next(last.text, now);
  }

  begin(): void {
    this.#spoken = 0;
    this.#last = 0;
  }

  /** How far a long question has been read: once reading takes a while, then every 20 s; "" in between. `now` in ms. */
  reading(progress: ReadProgress, now: number): string {
    const { secondsLeft = 0 } = progress;
    const due = this.#last === 0 ? secondsLeft > 4 : now - this.#last > READING_EVERY_MS;
    if (!due) return "";
    this.#last = now;
    return formatReading(progress);
  }

  /** The sentences that are new and complete, or "" where it is too early to speak. `now` in ms. */
  next(text: string, now: number): string {
    if (now - this.#last < this.#everyMs) return "";
    const fresh = text.slice(this.#spoken);
    const end = Math.max(...[". ", "! ", "? ", "\n"].map((mark) => fresh.lastIndexOf(mark)));
    if (end < 0) return "";
    this.#spoken += end + 1;
    this.#last = now;
    return plain(fresh.slice(0, end + 1));
  }

  /** Text that has not been said yet. */
  rest(text: string): string {
    const fresh = text.slice(this.#spoken);
    this.#spoken = text.length;
    return plain(fresh);
  }
}
