import { Undefined, type Value } from "../values.ts";

/** Variables by name; those of the scopes around it are seen, but not changed. */
export class Scope {
  readonly #values: Map<string, Value>;
  readonly #around: Scope | undefined;

  constructor(around?: Scope, values: Iterable<readonly [string, Value]> = []) {
    this.#around = around;
    this.#values = new Map(values);
  }

  get(name: string): Value {
    for (let scope: Scope | undefined = this; scope; scope = scope.#around) {
      const value = scope.#values.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}' is undefined`);
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }
}
