/**
 * Joins pieces of text that come within `intervalMs` of each other into one message: crossing to
 * the page costs about as much for one token as for ten. A piece never waits longer than that.
 */
export class TokenBatcher {
  private readonly send: (text: string) => void;
  private readonly intervalMs: number;
  private pending = "";
  private waiting = false;
  private lastSent = Number.NEGATIVE_INFINITY;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (text: string) => void, intervalMs = 16) {
    this.send = send;
    this.intervalMs = intervalMs;
  }

  push(text: string): void {
    this.pending += text;
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
    const text = this.pending;
    this.pending = "";
    this.waiting = false;
    this.lastSent = performance.now();
    this.send(text);
  }
}
