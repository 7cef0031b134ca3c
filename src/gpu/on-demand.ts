import { WinnowError } from "../errors.ts";

/** Something that is made once, when it is first needed. After a failure the next caller tries again. */
export class OnDemand<T> {
  private readonly what: string;
  private readonly make: () => Promise<T>;
  private found: T | undefined;
  private making: Promise<void> | undefined;

  /** `what` names it in error messages. */
  constructor(what: string, make: () => Promise<T>) {
    this.what = what;
    this.make = make;
  }

  /** Throws internal before it is made. */
  get value(): T {
    if (this.found !== undefined) return this.found;
    throw new WinnowError("internal", `${this.what} is needed before it was awaited`);
  }

  /** Undefined once it is made; else begins to make it, and resolves then. */
  made(): Promise<unknown> | undefined {
    if (this.found !== undefined) return undefined;
    if (this.making) return this.making;
    this.making = this.make()
      .then((found) => {
        this.found = found;
      })
      .finally(() => {
        this.making = undefined;
      });
    this.making.catch(() => {});
    return this.making;
  }
}

/** Resolves when all of them do; undefined where there is nothing to wait for. */
export function allOf(
  waits: readonly (Promise<unknown> | undefined)[],
): Promise<unknown> | undefined {
  const pending = waits.filter((wait) => wait !== undefined);
  if (pending.length === 0) return undefined;
  const all = Promise.all(pending);
  // A caller that only asks whether it must wait leaves it.
  all.catch(() => {});
  return all;
}
