import { TemplateError } from "./template-error.ts";
import { type Keywords, plain, typeName, Undefined, type Value } from "./values.ts";

/** Arguments by the names of a signature. */
export class Given {
  readonly #function: string;
  readonly #values: ReadonlyMap<string, Value>;
  /** What `*` of the signature took. */
  readonly rest: readonly Value[];

  /**
   * `signature` names the parameters, with `?` behind those that may be left out, and ends in `*` where more may be given.
   * @throws TemplateError for arguments that do not fit it.
   */
  constructor(name: string, signature: string, args: readonly Value[], keywords: Keywords) {
    const parameters = signature.split(" ").filter((part) => part !== "" && part !== "*");
    const values = new Map<string, Value>();
    const more = signature.endsWith("*");
    parameters.forEach((parameter, i) => {
      const key = parameter.replace("?", "");
      const value = args[i] ?? (i < args.length ? null : keywords.get(key));
      if (value !== undefined) values.set(key, value);
      else if (!parameter.endsWith("?"))
        throw new TemplateError(`${name} is missing the argument ${key}`);
      if (i < args.length && keywords.has(key))
        throw new TemplateError(`${name} has two values for ${key}`);
    });
    const names = parameters.map((parameter) => parameter.replace("?", ""));
    if (!more) {
      if (args.length > parameters.length)
        throw new TemplateError(`${name} takes at most ${parameters.length} arguments`);
      for (const key of keywords.keys())
        if (!names.includes(key)) throw new TemplateError(`${name} has no argument ${key}`);
    }
    this.#function = name;
    this.#values = values;
    this.rest = args.slice(parameters.length);
  }

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  /** The value, or None where it is left out. */
  value(key: string): Value {
    return this.#values.get(key) ?? null;
  }

  text(key: string): string;
  text(key: string, fallback: string): string;
  text(key: string, fallback?: string): string {
    const value = this.#values.get(key) ?? fallback;
    if (value instanceof Undefined) value.fail();
    if (typeof value !== "string") throw this.#wrong(key, "a text");
    return value;
  }

  /** The text without guards: to compare with, or as a setting. */
  plain(key: string, fallback?: string): string {
    return plain(fallback === undefined ? this.text(key) : this.text(key, fallback));
  }

  whole(key: string, fallback: number): number {
    const value = this.#values.get(key) ?? BigInt(fallback);
    if (typeof value === "boolean") return Number(value);
    if (typeof value !== "bigint") throw this.#wrong(key, "a whole number");
    return Number(value);
  }

  /** None counts as left out. */
  wholeOrNone(key: string): number | undefined {
    return this.value(key) === null ? undefined : this.whole(key, 0);
  }

  #wrong(key: string, wanted: string): TemplateError {
    return new TemplateError(
      `${this.#function} needs ${wanted} as ${key}, not ${typeName(this.value(key))}`,
    );
  }
}
