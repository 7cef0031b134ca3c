import { throwIfAborted } from "../../errors.ts";
import type { History } from "./history.ts";
import { HttpError, SOON } from "./http-error.ts";

/** How much is done at once, and how much is kept. */
export interface SeatLimits {
  /** Requests that are answered at once. */
  readonly parallel: number;
  /** Requests that may wait beside them. */
  readonly waiting: number;
  /** Conversations whose cache is kept, as far as there is memory. */
  readonly conversations: number;
}

/** A conversation of the engine, and what its cache was read for last. */
interface Kept {
  readonly name: string;
  /** Messages of the last request, and their digest. */
  length: number;
  digest: string | undefined;
  taken: boolean;
}

/** A request's place in the engine. */
export interface Seat {
  /** The conversation that answers it. */
  readonly conversation: string;
  /** To be called once, when the answer has ended. */
  leave(): void;
}

/**
 * Requests come without a name of their conversation. One that goes on from what a conversation has read goes there, so that
 * only what is new is read; any other takes the conversation that was used longest ago. Where more come than are answered at
 * once, they wait in the order of their coming.
 */
export class Seats {
  private readonly limits: SeatLimits;
  /** In the order of their last use. */
  private kept: Kept[] = [];
  private running = 0;
  private queue: (() => void)[] = [];

  constructor(limits: SeatLimits) {
    this.limits = limits;
  }

  get counts(): { running: number; waiting: number } {
    return { running: this.running, waiting: this.queue.length };
  }

  /** Throws HttpError 429 where too many wait already, and the signal's reason where it fires meanwhile. */
  async take(history: History, signal: AbortSignal): Promise<Seat> {
    throwIfAborted(signal);
    if (this.running >= this.limits.parallel) await this.wait(signal);
    else this.running += 1;
    const kept = this.choose(history);
    kept.taken = true;
    kept.length = history.length;
    kept.digest = history.at(-1);
    this.kept = [...this.kept.filter((one) => one !== kept), kept];
    return {
      conversation: kept.name,
      leave: () => {
        kept.taken = false;
        const next = this.queue.shift();
        // Who waited longest has the place at once: nobody can come in between.
        if (next) next();
        else this.running -= 1;
      },
    };
  }

  private wait(signal: AbortSignal): Promise<void> {
    if (this.queue.length >= this.limits.waiting)
      throw new HttpError(429, `${this.queue.length} requests wait already: ask again later`, {
        code: "rate_limit_exceeded",
        headers: SOON,
      });
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener("abort", give);
        resolve();
      };
      const give = (): void => {
        this.queue = this.queue.filter((one) => one !== enter);
        reject(signal.reason);
      };
      this.queue.push(enter);
      signal.addEventListener("abort", give, { once: true });
    });
  }

  /** The free conversation that has read most of what is asked, else a new one, else the one used longest ago. */
  private choose(history: History): Kept {
    const free = this.kept.filter(({ taken }) => !taken);
    const begun = free.filter(({ length, digest }) => digest && history[length - 1] === digest);
    const best = begun.sort((a, b) => a.length - b.length).at(-1);
    if (best) return best;
    if (this.kept.length >= this.limits.conversations) return free[0]!;
    return { name: `seat ${this.kept.length + 1}`, length: 0, digest: undefined, taken: false };
  }
}
