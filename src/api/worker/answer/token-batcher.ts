import type { AnswerDelta } from "../../protocol.ts";
import { joinDeltas } from "./join-deltas.ts";

/**
 * Joins deltas that come within `intervalMs` of each other into one message: crossing to
 * the page costs about as much for one token as for ten. A delta never waits longer than that.
 */
export class TokenBatcher {
  private readonly send: (deltas: AnswerDelta[]) => void;
  private readonly intervalMs: number;
  private pending: AnswerDelta[] = [];
  private waiting = false;
  private lastSent = Number.NEGATIVE_INFINITY;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (deltas: AnswerDelta[]) => void, intervalMs = 16) {
    this.send = send;
    this.intervalMs = intervalMs;
  }

  /** Takes what a token has brought, also where that is nothing: the figures of the cache have changed. */
  push(deltas: readonly AnswerDelta[]): void {
    joinDeltas(this.pending, deltas);
    this.waiting = true;
    const due = this.lastSent + this.intervalMs - performance.now();
    if (due <= 0) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), due);
  }

  /** Sends what waits, now. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.waiting) return;
    const deltas = this.pending;
    this.pending = [];
    this.waiting = false;
    this.lastSent = performance.now();
    this.send(deltas);
  }
}
