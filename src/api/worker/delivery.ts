/**
 * A callback of the page and the answer to its call cross on different ports, and the answer may
 * overtake the last call-backs. So whoever answers waits until the last of them was received; they
 * come in order, so the last stands for all.
 */
export class Delivery<T> {
  private readonly callback: (value: T) => unknown;
  private last: unknown;

  constructor(callback: (value: T) => unknown) {
    this.callback = callback;
  }

  /** Does not wait: a round trip a token would slow decoding down. */
  send(value: T): void {
    const sent = this.callback(value);
    // A page that fails to take a value must not end the answer.
    this.last = sent instanceof Promise ? sent.catch(() => {}) : undefined;
  }

  /** Resolves when everything sent was received. */
  async received(): Promise<void> {
    await this.last;
  }
}
