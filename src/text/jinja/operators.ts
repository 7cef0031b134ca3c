import { TemplateError } from "./template-error.ts";
import { percentFormat } from "./texts/percent-format.ts";
import { search } from "./texts/search-text.ts";
import {
  charsOf,
  Dict,
  itemsOf,
  iterable,
  lengthOf,
  plain,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";
import { nested, tick, tickItems, tickText } from "./work.ts";

const MAX_BITS = 20_000n;

const isNumber = (value: Value): value is bigint | number | boolean =>
  typeof value === "bigint" || typeof value === "number" || typeof value === "boolean";

/** A bool counts as an int. */
const unbool = (value: bigint | number | boolean): bigint | number =>
  typeof value === "boolean" ? BigInt(value) : value;

/** Python's `==`. */
export function equal(a: Value, b: Value): boolean {
  tick();
  if (typeof a === "string") return typeof b === "string" && plain(a) === plain(b);
  // JavaScript compares a bigint and a number by their values.
  // biome-ignore lint/suspicious/noDoubleEquals: it is what is wanted of two numbers
  if (isNumber(a) && isNumber(b)) return unbool(a) == unbool(b);
  if (a instanceof Undefined) return b instanceof Undefined;
  if (Array.isArray(a)) return Array.isArray(b) && equalItems(a, b);
  if (a instanceof Tuple) return b instanceof Tuple && equalItems(a.items, b.items);
  if (a instanceof Range) return b instanceof Range && equalItems([...a.items()], [...b.items()]);
  if (a instanceof Dict && b instanceof Dict) {
    if (a.size !== b.size) return false;
    for (const [key, value] of a.entries()) {
      const other = b.get(key);
      if (other === undefined || !nested(() => equal(value, other))) return false;
    }
    return true;
  }
  return a === b;
}

function equalItems(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, i) => nested(() => equal(item, b[i]!)));
}

/** Below 0, 0 or above 0; NaN where neither is so. @throws TemplateError for values that have no order. */
export function order(a: Value, b: Value): number {
  tick();
  if (typeof a === "string" && typeof b === "string") return orderTexts(plain(a), plain(b));
  if (isNumber(a) && isNumber(b)) {
    const [x, y] = [unbool(a), unbool(b)];
    // biome-ignore lint/suspicious/noDoubleEquals: it is what is wanted of two numbers
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : Number.NaN;
  }
  const lists = Array.isArray(a) && Array.isArray(b);
  if (lists || (a instanceof Tuple && b instanceof Tuple)) {
    const [x, y] = [a, b].map((list) => (list instanceof Tuple ? list.items : (list as Value[])));
    for (let i = 0; i < Math.min(x!.length, y!.length); i++)
      if (!equal(x![i]!, y![i]!)) return nested(() => order(x![i]!, y![i]!));
    return x!.length - y!.length;
  }
  for (const value of [a, b]) if (value instanceof Undefined) value.fail();
  throw new TemplateError(`${typeName(a)} and ${typeName(b)} have no order`);
}

/** Orders two texts by code points. */
function orderTexts(a: string, b: string): number {
  if (a === b) return 0;
  let i = 0;
  while (a[i] === b[i]) i++;
  const [x, y] = [a.codePointAt(i) ?? -1, b.codePointAt(i) ?? -1];
  return x === y ? 0 : x - y;
}

/** Python's `item in container`. */
export function contains(container: Value, item: Value): boolean {
  if (typeof container === "string") {
    if (item instanceof Undefined || typeof item !== "string")
      throw new TemplateError(
        `'in <string>' requires string as left operand, not ${typeName(item)}`,
      );
    return search(container, item) !== undefined;
  }
  if (container instanceof Dict) return container.has(item);
  if (iterable(container) === undefined)
    throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`);
  for (const each of itemsOf(container)) if (equal(each, item)) return true;
  return false;
}

export function compare(operator: string, a: Value, b: Value): boolean {
  switch (operator) {
    case "==":
      return equal(a, b);
    case "!=":
      return !equal(a, b);
    case "in":
      return contains(b, a);
    case "not in":
      return !contains(b, a);
    case "<":
      return order(a, b) < 0;
    case "<=":
      return order(a, b) <= 0;
    case ">":
      return order(a, b) > 0;
    default:
      return order(a, b) >= 0;
  }
}

export function unary(operator: "-" | "+", value: Value): Value {
  if (value instanceof Undefined) value.fail();
  if (!isNumber(value))
    throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const number = unbool(value);
  return operator === "-" ? -number : number;
}

export function binary(operator: string, a: Value, b: Value): Value {
  if (operator === "%" && typeof a === "string") return percentFormat(a, b);
  for (const value of [a, b]) if (value instanceof Undefined) value.fail();
  if (isNumber(a) && isNumber(b)) return arithmetic(operator, unbool(a), unbool(b));
  if (operator === "+") {
    if (typeof a === "string" && typeof b === "string") {
      tickText(a.length + b.length);
      return a + b;
    }
    if (Array.isArray(a) && Array.isArray(b)) return joined(a, b);
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple(joined(a.items, b.items));
  }
  if (operator === "*") {
    if (isNumber(a) && typeof a !== "number") return repeated(b, unbool(a) as bigint);
    if (isNumber(b) && typeof b !== "number") return repeated(a, unbool(b) as bigint);
  }
  throw unsupported(operator, a, b);
}

const unsupported = (operator: string, a: Value, b: Value): TemplateError =>
  new TemplateError(
    `unsupported operand types for ${operator}: '${typeName(a)}' and '${typeName(b)}'`,
  );

function joined(a: readonly Value[], b: readonly Value[]): Value[] {
  const length = a.length + b.length;
  tickItems(length);
  return [...a, ...b];
}

function repeated(value: Value, times: bigint): Value {
  const count = times < 0n ? 0 : Number(times);
  const length = (lengthOf(value) ?? 0) * count;
  if (typeof value === "string") {
    tickText(length);
    return value.repeat(length === 0 ? 0 : count);
  }
  tickItems(length);
  const items = (list: readonly Value[]) =>
    Array.from({ length: length === 0 ? 0 : count }, () => list).flat(1) as Value[];
  if (Array.isArray(value)) return Array.from({ length }, (_, i) => value[i % value.length]!);
  if (value instanceof Tuple) return new Tuple(items(value.items));
  throw unsupported("*", value, times);
}

function arithmetic(operator: string, a: bigint | number, b: bigint | number): Value {
  const zero = () => new TemplateError("division by zero");
  if (operator === "/") {
    if (Number(b) === 0) throw zero();
    return Number(a) / Number(b);
  }
  if (typeof a === "bigint" && typeof b === "bigint") {
    if ((operator === "//" || operator === "%") && b === 0n) throw zero();
    const result = integers(operator, a, b);
    if (typeof result === "bigint" && (result > HUGE || result < -HUGE))
      throw new TemplateError("makes a number of too many digits");
    return result;
  }
  const [x, y] = [Number(a), Number(b)];
  if ((operator === "//" || operator === "%") && y === 0) throw zero();
  switch (operator) {
    case "+":
      return x + y;
    case "-":
      return x - y;
    case "*":
      return x * y;
    case "//":
      return Math.floor(x / y);
    case "%":
      return remainder(x, y);
    default:
      if (x === 0 && y < 0) throw zero();
      return x ** y;
  }
}

const HUGE = 1n << MAX_BITS;

/** The sign is the divisor's. */
function remainder(x: number, y: number): number {
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

function integers(operator: string, a: bigint, b: bigint): Value {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "//":
      return (a - integerRemainder(a, b)) / b;
    case "%":
      return integerRemainder(a, b);
  }
  if (b < 0n) {
    if (a === 0n) throw new TemplateError("0 to a negative power");
    return Number(a) ** Number(b);
  }
  if (BigInt(a.toString(2).length) * b > MAX_BITS && a !== 1n && a !== -1n && a !== 0n)
    throw new TemplateError("makes a number of too many digits");
  return a ** b;
}

const integerRemainder = (a: bigint, b: bigint): bigint => {
  const rest = a % b;
  return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
};

/** Python's `value[start:stop:step]`. */
export function slice(value: Value, bounds: readonly (Value | undefined)[]): Value {
  const [start, stop, step] = bounds.map((bound) => {
    if (bound === undefined || bound === null) return undefined;
    if (typeof bound !== "bigint" && typeof bound !== "boolean")
      throw new TemplateError("slice indices must be integers or None");
    return Number(bound);
  });
  if (value instanceof Undefined) value.fail();
  if (step === 0) throw new TemplateError("slice step cannot be zero");
  if (typeof value === "string") {
    const chars = charsOf(value);
    if (typeof chars === "string" && (step ?? 1) === 1) return chars.slice(start, stop);
    return pick(chars, start, stop, step).join("");
  }
  if (Array.isArray(value)) return pick(value, start, stop, step);
  if (value instanceof Tuple) return new Tuple(pick(value.items, start, stop, step));
  if (value instanceof Range) {
    const picked = pick(
      Array.from({ length: value.length }, (_, i) => i),
      start,
      stop,
      step,
    );
    const by = value.step * BigInt(step ?? 1);
    const first = picked[0] === undefined ? value.start : value.at(picked[0]);
    return new Range(first, first + by * BigInt(picked.length), by);
  }
  throw new TemplateError(`'${typeName(value)}' object is not subscriptable`);
}

function pick<T>(items: ArrayLike<T>, start?: number, stop?: number, step = 1): T[] {
  const { length } = items;
  const clamp = (bound: number, low: number, high: number) =>
    Math.min(Math.max(bound < 0 ? bound + length : bound, low), high);
  const picked: T[] = [];
  tickItems(length);
  if (step > 0) {
    const end = clamp(stop ?? length, 0, length);
    for (let i = clamp(start ?? 0, 0, length); i < end; i += step) picked.push(items[i]!);
  } else {
    const end = stop === undefined ? -1 : clamp(stop, -1, length - 1);
    for (let i = clamp(start ?? length - 1, -1, length - 1); i > end; i += step)
      picked.push(items[i]!);
  }
  return picked;
}

export { isNumber };
