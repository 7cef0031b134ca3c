/**
 * Values of a template, as Python has them: an int is a bigint, a float a number, a list an array, and the rest are
 * classes of ours. No object of JavaScript's is ever a value, so a template cannot reach one.
 */
import { TemplateError } from "./template-error.ts";
import { guard, tick } from "./work.ts";

export type Value = null | boolean | bigint | number | string | Value[] | Special;
export type Special = Undefined | Tuple | Dict | Range | View | Iter | Namespace | Callable | Loop;
export type Keywords = ReadonlyMap<string, Value>;

/** What a name stands for that has no value: prints as nothing, and fails where something is asked of it. */
export class Undefined {
  readonly why: string;

  constructor(why: string) {
    this.why = why;
  }

  fail(): never {
    throw new TemplateError(this.why);
  }
}

export class Tuple {
  readonly items: readonly Value[];
  /** Attributes of a named tuple: a group of `groupby`. */
  readonly names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** What is there, None too, which `??` would pass over. */
export const or = <T>(value: Value | undefined, other: () => T): Value | T =>
  value === undefined ? other() : value;

export class Dict {
  readonly #entries = new Map<string, readonly [key: Value, value: Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashOf(key))?.[1];
  }

  has(key: Value): boolean {
    return this.#entries.has(hashOf(key));
  }

  /** For making one: a template sees it only when it is complete. */
  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    this.#entries.set(hash, [this.#entries.get(hash)?.[0] ?? key, value]);
  }

  entries(): Iterable<readonly [Value, Value]> {
    return this.#entries.values();
  }
}

export class Range {
  readonly start: bigint;
  readonly step: bigint;
  readonly length: number;
  readonly stop: bigint;

  /** @throws TemplateError above 100,000 numbers, where transformers' sandbox refuses too. */
  constructor(start: bigint, stop: bigint, step: bigint) {
    if (step === 0n) throw new TemplateError("range() arg 3 must not be zero");
    const span = step > 0n ? stop - start : start - stop;
    const size = step > 0n ? step : -step;
    const length = span <= 0n ? 0n : (span + size - 1n) / size;
    if (length > 100_000n) throw new TemplateError("Range too big: at most 100000 numbers");
    [this.start, this.stop, this.step, this.length] = [start, stop, step, Number(length)];
  }

  at(index: number): bigint {
    return this.start + this.step * BigInt(index);
  }

  *items(): Generator<bigint> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }
}

/** `keys()`, `values()` or `items()` of a dict. */
export class View {
  readonly kind: "keys" | "values" | "items";
  readonly items: readonly Value[];

  constructor(kind: View["kind"], dict: Dict) {
    this.kind = kind;
    this.items = Array.from(dict.entries(), ([key, value]) =>
      kind === "keys" ? key : kind === "values" ? value : new Tuple([key, value]),
    );
  }
}

/** What can be gone through once: the result of `map`, `select` and their kin. Always true, of no length. */
export class Iter {
  readonly items: Iterator<Value>;

  constructor(items: Iterable<Value>) {
    this.items = items[Symbol.iterator]();
  }
}

export class Namespace {
  readonly attributes = new Map<string, Value>();

  set(name: string, value: Value): void {
    if (name.startsWith("_"))
      throw new TemplateError(`a namespace cannot have an attribute "${name}" that begins with _`);
    this.attributes.set(name, value);
  }
}

export class Callable {
  readonly name: string;
  readonly call: (args: readonly Value[], keywords: Keywords) => Value;
  readonly attributes: ReadonlyMap<string, Value>;

  constructor(
    name: string,
    call: Callable["call"],
    attributes: ReadonlyMap<string, Value> = new Map(),
  ) {
    this.name = name;
    this.call = call;
    this.attributes = attributes;
  }
}

/** `loop` within a for. */
export class Loop {
  readonly items: readonly Value[];
  readonly depth: number;
  readonly recurse: Callable["call"] | undefined;
  index = 0;
  /** What `changed` was last asked about. */
  seen: Value | undefined;

  constructor(items: readonly Value[], depth: number, recurse: Callable["call"] | undefined) {
    this.items = items;
    this.depth = depth;
    this.recurse = recurse;
  }
}

const identities = new WeakMap<object, number>();
let objects = 0;

/** Equal for equal keys. @throws TemplateError for a list or dict, which cannot be a key. */
export function hashOf(key: Value): string {
  if (typeof key === "string") return `s${plain(key)}`;
  if (typeof key === "bigint") return `n${key}`;
  if (typeof key === "boolean") return key ? "n1" : "n0";
  if (typeof key === "number") return `n${Number.isInteger(key) ? BigInt(key) : key}`;
  if (key === null) return "none";
  if (key instanceof Tuple) return `t${JSON.stringify(key.items.map(hashOf))}`;
  if (key instanceof Undefined) return "undefined";
  if (Array.isArray(key) || key instanceof Dict || key instanceof View)
    throw new TemplateError(`unhashable type: '${typeName(key)}'`);
  const identity = identities.get(key) ?? ++objects;
  identities.set(key, identity);
  return `o${identity}`;
}

/** The text without guards. */
export const plain = (text: string): string =>
  guard !== "" && text.includes(guard) ? text.replaceAll(guard, "") : text;

/** The value's type as Python names it. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int";
  if (typeof value === "number") return "float";
  if (typeof value === "string") return "str";
  if (Array.isArray(value)) return "list";
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Dict) return "dict";
  if (value instanceof Range) return "range";
  if (value instanceof View) return `dict_${value.kind}`;
  if (value instanceof Iter) return "generator";
  if (value instanceof Namespace) return "Namespace";
  return value instanceof Loop ? "LoopContext" : "function";
}

export function isTrue(value: Value): boolean {
  if (value === null || typeof value !== "object") return Boolean(value);
  if (value instanceof Undefined) return false;
  return lengthOf(value) !== 0;
}

/** Undefined where the value has no length. */
export function lengthOf(value: Value): number | undefined {
  if (typeof value === "string") return charsOf(value).length;
  if (Array.isArray(value) || value instanceof Range) return value.length;
  if (value instanceof Tuple || value instanceof View || value instanceof Loop)
    return value.items.length;
  if (value instanceof Dict) return value.size;
  return value instanceof Undefined ? 0 : undefined;
}

/** Characters (code points), each with the guard behind it; the text itself where they are its units. */
export function charsOf(text: string): ArrayLike<string> {
  if (guard !== "" && text.includes(guard)) {
    const chars: string[] = [];
    for (const char of text)
      if (char === guard && chars.length > 0) chars[chars.length - 1] += char;
      else chars.push(char);
    return chars;
  }
  return /[\ud800-\udfff]/.test(text) ? Array.from(text) : text;
}

/** What a `for` goes through. @throws TemplateError if the value cannot be gone through. */
export function* itemsOf(value: Value): Generator<Value> {
  const items = iterable(value);
  if (items === undefined) throw new TemplateError(`'${typeName(value)}' object is not iterable`);
  for (const item of items) {
    tick();
    yield item;
  }
}

export const listOf = (value: Value): Value[] => [...itemsOf(value)];

export function iterable(value: Value): Iterable<Value> | undefined {
  if (typeof value === "string") return Array.from(charsOf(value));
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (value instanceof Dict) return Array.from(value.entries(), ([key]) => key);
  if (value instanceof Range) return value.items();
  if (value instanceof Iter) return { [Symbol.iterator]: () => value.items };
  return value instanceof Undefined ? [] : undefined;
}
