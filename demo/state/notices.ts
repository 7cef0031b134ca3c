import { asWinnowError } from "../../src/errors.ts";
import { Store } from "./store.ts";

/** Something the page says beside what it shows. */
export interface Notice {
  /** A later notice of the same name takes its place. */
  readonly name: string;
  readonly text: string;
  /** "error": something did not work. */
  readonly tone: "quiet" | "error";
  readonly action?: { readonly label: string; run(): void };
}

const QUIET_MS = 12_000;

/** What the page has to say at the moment, oldest first. */
export class NoticeStore extends Store {
  notices: readonly Notice[] = [];
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();

  /** `passing`: it goes by itself after a while. */
  say(notice: Notice, { passing = false } = {}): void {
    this.#drop(notice.name);
    this.notices = [...this.notices, notice];
    if (passing)
      this.#timers.set(
        notice.name,
        setTimeout(() => this.end(notice.name), QUIET_MS),
      );
    this.changed();
  }

  /** Says what goes wrong with some work. */
  async attempt(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      const { message, hint } = asWinnowError(thrown);
      this.say({ name, text: `${message} ${hint}`.trim(), tone: "error" });
    }
  }

  end(name: string): void {
    if (this.#drop(name)) this.changed();
  }

  #drop(name: string): boolean {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
    const rest = this.notices.filter((notice) => notice.name !== name);
    const dropped = rest.length < this.notices.length;
    this.notices = rest;
    return dropped;
  }
}
