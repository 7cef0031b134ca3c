/**
 * One producer, one consumer: values pushed while nobody waits are kept in order. The consumer's
 * `return` (a `break` out of for-await) calls `onCancel` unless the queue has ended already.
 */
export class DeltaQueue<T> implements AsyncIterable<T> {
  private readonly values: T[] = [];
  private waiting: { resolve: (r: IteratorResult<T>) => void; reject: (e: unknown) => void }[] = [];
  private ended = false;
  private failure: { error: unknown } | undefined;
  private readonly onCancel: () => void;

  constructor(onCancel: () => void) {
    this.onCancel = onCancel;
  }

  push(value: T): void {
    if (this.ended) return;
    const next = this.waiting.shift();
    if (next) next.resolve({ done: false, value });
    else this.values.push(value);
  }

  end(): void {
    this.ended = true;
    for (const next of this.waiting.splice(0)) next.resolve({ done: true, value: undefined });
  }

  /** Values pushed before are still delivered; then the consumer gets the error once. */
  fail(error: unknown): void {
    if (this.ended) return;
    this.ended = true;
    const next = this.waiting.shift();
    if (next) next.reject(error);
    else this.failure = { error };
    this.end();
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: () => this.next(),
      return: async () => {
        if (!this.ended) {
          this.end();
          this.onCancel();
        }
        this.values.length = 0;
        this.failure = undefined;
        return { done: true, value: undefined };
      },
    };
  }

  private next(): Promise<IteratorResult<T>> {
    if (this.values.length > 0) {
      return Promise.resolve({ done: false, value: this.values.shift() as T });
    }
    if (this.failure) {
      const { error } = this.failure;
      this.failure = undefined;
      return Promise.reject(error);
    }
    if (this.ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }
}
