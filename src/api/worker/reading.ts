import type { ReadProgress } from "../types.ts";

/** Milliseconds from one call-back to the next, the last one excepted. */
const INTERVAL_MS = 100;

/** Tells how far a prompt has been read, and how long the rest will take at the pace so far. */
export class Reading {
  private readonly send: (progress: ReadProgress) => void;
  private readonly now: () => number;
  private total = 0;
  /** Tokens of which the GPU has been given the work. */
  private submitted = 0;
  private start = 0;
  private told = Number.NEGATIVE_INFINITY;

  constructor(send: (progress: ReadProgress) => void, now: () => number = () => performance.now()) {
    this.send = send;
    this.now = now;
  }

  /** Takes in that the work of `submitted` tokens is with the GPU: it is through with those of the call before. */
  update(submitted: number, total: number): void {
    const now = this.now();
    // A prompt begins, or begins anew after the loss of the device.
    if (this.total === 0 || submitted < this.submitted) {
      [this.start, this.submitted, this.total] = [now, 0, total];
    }
    const read = this.submitted;
    this.submitted = submitted;
    if (now - this.told < INTERVAL_MS) return;
    this.told = now;
    const seconds = (now - this.start) / 1000;
    const secondsLeft = read > 0 ? (seconds / read) * (total - read) : undefined;
    this.send({ read, total, secondsLeft });
  }

  /** The first token is here: all has been read. */
  end(): void {
    this.send({ read: this.total, total: this.total, secondsLeft: 0 });
  }
}
