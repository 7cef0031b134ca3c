import { invalidArgument, messageOf, WinnowError } from "../../errors.ts";

/** Small checks that name the field, what came, and what is allowed. All throw invalid_argument. */

/** A value in the words of a message: short, and with its type if the value says little. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string") {
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  }
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return `a value of type ${typeof value}`;
}

const wrong = (field: string, value: unknown, allowed: string): Error =>
  invalidArgument(field, `must be ${allowed}, not ${describe(value)}`);

/** Whether an option says something: null asks for as little as one that is left out. */
export const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

/** The result of `read`; an error of a getter or a proxy becomes one that names the field. */
export function reading<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof WinnowError) throw cause;
    throw new WinnowError("invalid_argument", `${field}: reading it threw: ${messageOf(cause)}`, {
      hint: "Pass plain data.",
      details: { field },
      cause,
    });
  }
}

/**
 * The fields `known` of an object that are given, each read once. Refuses other names that are given; `reasons`
 * says why for names that people expect. `path` stands before the names in messages.
 */
export function readFields(
  field: string,
  value: unknown,
  known: readonly string[],
  {
    path = field,
    reasons = {},
  }: { path?: string; reasons?: Readonly<Record<string, string>> } = {},
): Record<string, unknown> {
  const { fields, others } = splitFields(field, value, known, path);
  const [name] = Object.keys(others);
  if (name === undefined) return fields;
  const full = path === "" ? name : `${path}.${name}`;
  throw Object.hasOwn(reasons, name)
    ? invalidArgument(full, reasons[name]!)
    : invalidArgument(full, `unknown option; allowed are ${known.join(", ")}`);
}

/** The fields of an object that are given, each read once: those of `known` names, and all others of its own. */
export function splitFields(
  field: string,
  value: unknown,
  known: readonly string[],
  path = field,
): { fields: Record<string, unknown>; others: Record<string, unknown> } {
  return reading(field, () => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw wrong(field, value, "an object");
    const [fields, others] = [
      known,
      Object.keys(value).filter((name) => !known.includes(name)),
    ].map((names) => {
      const read = names.map((name) => {
        const full = path === "" ? name : `${path}.${name}`;
        return [name, reading(full, () => (value as Record<string, unknown>)[name])];
      });
      return Object.fromEntries(read.filter(([, entry]) => isGiven(entry)));
    });
    return { fields, others };
  });
}

export interface Range {
  min: number;
  max: number;
  integer?: boolean;
}

export function checkNumber(field: string, value: unknown, range: Range): number {
  const { min, max, integer = false } = range;
  const kind = integer ? "an integer" : "a number";
  const bounds = max >= Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  const good =
    typeof value === "number" &&
    Number.isFinite(value) &&
    value >= min &&
    value <= max &&
    (!integer || Number.isSafeInteger(value));
  if (!good) throw wrong(field, value, `${kind} ${bounds}`);
  return value;
}

export function checkString(field: string, value: unknown): string {
  if (typeof value !== "string" || value === "")
    throw wrong(field, value, "a string that is not empty");
  return value;
}

export function checkBoolean(field: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw wrong(field, value, "true or false");
  return value;
}

export function checkOneOf<T extends string>(
  field: string,
  value: unknown,
  allowed: readonly T[],
): T {
  if (typeof value !== "string" || !(allowed as readonly string[]).includes(value)) {
    throw wrong(field, value, `one of ${allowed.map((name) => JSON.stringify(name)).join(", ")}`);
  }
  return value as T;
}

export function checkFunction(field: string, value: unknown): void {
  if (typeof value !== "function") throw wrong(field, value, "a function");
}

/** `onProgress` and `signal`, where given; `path` stands before their names in messages. */
export function checkHooks<P>(
  given: Record<string, unknown>,
  path = "",
): {
  onProgress?: P;
  signal?: AbortSignal;
} {
  const hooks: { onProgress?: P; signal?: AbortSignal } = {};
  if (given.onProgress !== undefined) {
    checkFunction(`${path}onProgress`, given.onProgress);
    hooks.onProgress = given.onProgress as P;
  }
  if (given.signal !== undefined) hooks.signal = checkSignal(`${path}signal`, given.signal);
  return hooks;
}

/** A signal is known by its shape: that of an iframe or of jsdom is of another class and does the same. */
export function checkSignal(field: string, value: unknown): AbortSignal {
  const signal = value as AbortSignal;
  const good = reading(
    field,
    () =>
      typeof value === "object" &&
      value !== null &&
      typeof signal.aborted === "boolean" &&
      typeof signal.addEventListener === "function" &&
      typeof signal.removeEventListener === "function",
  );
  if (!good) throw wrong(field, value, "an AbortSignal");
  return signal;
}

/** A copy of the bytes of an ArrayBuffer or a view of one, of any realm; undefined for anything else. */
export function copyBytes(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  if (ArrayBuffer.isView(value))
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
  const kind = Object.prototype.toString.call(value);
  const isBuffer = kind === "[object ArrayBuffer]" || kind === "[object SharedArrayBuffer]";
  return isBuffer ? new Uint8Array(value as ArrayBuffer).slice() : undefined;
}

/** Largest seed: integers are exact up to it. */
const MAX_SEED = Number.MAX_SAFE_INTEGER;

/** An integer from -1 to 2^53 - 1, where -1 asks for a random one. */
export function checkSeed(field: string, value: unknown): number {
  const seed = checkNumber(field, value, { min: -1, max: MAX_SEED, integer: true });
  return seed === -1 ? randomSeed() : seed;
}

export const randomSeed = (): number => Math.floor(Math.random() * 2 ** 32);

/** Most characters of a value as JSON. */
const MOST_CHARACTERS = 1_000_000;

/** A copy that may cross to a worker. */
export function plainData(field: string, value: unknown): unknown {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    if (cause instanceof RangeError) throw invalidArgument(field, "nests too deeply");
    throw invalidArgument(field, `is no plain data: ${messageOf(cause)}`);
  }
  return JSON.parse(checkLength(field, text));
}

export function checkLength(field: string, text: string): string {
  if (text.length <= MOST_CHARACTERS) return text;
  throw invalidArgument(field, `is longer than ${MOST_CHARACTERS} characters`);
}
