import { invalidArgument } from "../errors.ts";

/** Small checks that name the field, what came, and what is allowed. All throw invalid_argument. */

/** What a value looks like in a message: short, and with its type where the value says little. */
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

export function checkRecord(field: string, value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(field, value, "an object");
  }
  return value as Record<string, unknown>;
}

/** Refuses names that are not in `known`; `reasons` says why for names that people expect. */
export function checkNames(
  field: string,
  value: Record<string, unknown>,
  known: readonly string[],
  reasons: Readonly<Record<string, string>> = {},
): void {
  for (const name of Object.keys(value)) {
    if (known.includes(name) || value[name] === undefined) continue;
    const path = field === "" ? name : `${field}.${name}`;
    const reason = reasons[name];
    throw reason
      ? invalidArgument(path, reason)
      : invalidArgument(path, `unknown option; allowed are ${known.join(", ")}`);
  }
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

/** `onProgress` and `signal`, where given. */
export function checkHooks<P>(given: Record<string, unknown>): {
  onProgress?: P;
  signal?: AbortSignal;
} {
  const hooks: { onProgress?: P; signal?: AbortSignal } = {};
  if (given.onProgress !== undefined) {
    checkFunction("onProgress", given.onProgress);
    hooks.onProgress = given.onProgress as P;
  }
  if (given.signal !== undefined) {
    checkSignal("signal", given.signal);
    hooks.signal = given.signal as AbortSignal;
  }
  return hooks;
}

export function checkSignal(field: string, value: unknown): void {
  if (!(value instanceof AbortSignal)) throw wrong(field, value, "an AbortSignal");
}
