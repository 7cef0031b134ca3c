/** Speed over the last few seconds, from (time, amount) samples of a growing amount. */
export class Rate {
  readonly #samples: { at: number; amount: number }[] = [];
  readonly #spanMs: number;

  constructor(spanMs = 4000) {
    this.#spanMs = spanMs;
  }

  /** `at` in milliseconds. An amount that shrinks starts over. */
  add(amount: number, at: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && amount < last.amount) this.#samples.length = 0;
    this.#samples.push({ at, amount });
    while (this.#samples.length > 2 && at - this.#samples[0]!.at > this.#spanMs)
      this.#samples.shift();
  }

  /** Amount a second, or null before there is enough to tell. */
  perSecond(): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.at - first.at < 400) return null;
    return ((last.amount - first.amount) * 1000) / (last.at - first.at);
  }

  /** Seconds until `total`, or null where unknown. */
  secondsLeft(total: number): number | null {
    const rate = this.perSecond();
    const last = this.#samples.at(-1);
    if (rate === null || rate <= 0 || last === undefined) return null;
    return Math.max(0, (total - last.amount) / rate);
  }

  clear(): void {
    this.#samples.length = 0;
  }
}
