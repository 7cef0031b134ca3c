import { choice, literal } from "../syntax/expression.ts";
import type { JsonRules } from "./json-text.ts";
import { type Bounds, decimals, integers } from "./numbers.ts";
import type { SchemaObject, SchemaSource } from "./schema-source.ts";
import type { Shape } from "./shapes.ts";
import { at } from "./write-strings.ts";

/** Multiples that are written out, one by one. */
const MOST_MULTIPLES = 512;
/** Largest divisor of multiples without bounds. */
const MOST_REMAINDERS = 1000;
const DIGITS = 15;

export function writeNumber(
  source: SchemaSource,
  rules: JsonRules,
  from: number,
  shape: Shape,
  to: number,
): void {
  const { builder } = rules;
  const bounds = boundsOf(shape);
  const { min, max, above, below } = bounds;
  const multiple = multipleOf(source, shape);
  const whole = shape.whole || multiple !== undefined;
  const [least, most] = [
    above && Number.isInteger(min) ? min + 1 : Math.ceil(min),
    below && Number.isInteger(max) ? max - 1 : Math.floor(max),
  ];
  if (multiple !== undefined) {
    const [first, last] = [Math.ceil(least / multiple), Math.floor(most / multiple)];
    if (Number.isFinite(least) && Number.isFinite(most)) {
      if (last - first >= MOST_MULTIPLES) throw refuseMultiples(source, shape);
      const values = Array.from(
        { length: Math.max(0, last - first + 1) },
        (_, i) => (first + i) * multiple,
      );
      if (values.length > 0)
        rules.put(from, choice(...values.map((value) => literal(`${value + 0}`))), to);
      return;
    }
    const bounded = !(least === Number.NEGATIVE_INFINITY || least === 0 || least === 1);
    if (bounded || most !== Number.POSITIVE_INFINITY || multiple > MOST_REMAINDERS)
      throw refuseMultiples(source, shape);
    writeMultiples(rules, from, multiple, { negative: least < 0, zero: least <= 0 }, to);
    return;
  }
  const place = shape.schemas.find(({ schema }) =>
    KEYWORDS.some((name) => (schema as SchemaObject)[name] !== undefined),
  );
  if (!place) {
    builder.call(from, whole ? rules.integer : rules.number, to);
    return;
  }
  const text = at(source, place, "", () => (whole ? integers(least, most) : decimals(bounds)));
  if (text) rules.put(from, text, to);
}

const KEYWORDS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

function boundsOf({ schemas }: Shape): Bounds {
  let [min, max, above, below] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, false, false];
  const raise = (value: unknown, out: boolean): void => {
    if (typeof value !== "number" || value < min || (value === min && !out)) return;
    [min, above] = [value, out];
  };
  const lower = (value: unknown, out: boolean): void => {
    if (typeof value !== "number" || value > max || (value === max && !out)) return;
    [max, below] = [value, out];
  };
  for (const { schema } of schemas) {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema as SchemaObject;
    raise(minimum, false);
    raise(exclusiveMinimum, true);
    lower(maximum, false);
    lower(exclusiveMaximum, true);
  }
  // What is written has fewer digits than bounds beyond those that a double tells apart.
  if (max > Number.MAX_SAFE_INTEGER) [max, below] = [Number.POSITIVE_INFINITY, false];
  if (min < -Number.MAX_SAFE_INTEGER) [min, above] = [Number.NEGATIVE_INFINITY, false];
  return { min, max, above, below };
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** What the number must be a multiple of; undefined: anything. */
function multipleOf(source: SchemaSource, { schemas }: Shape): number | undefined {
  let least: number | undefined;
  for (const ref of schemas) {
    const { multipleOf } = ref.schema as SchemaObject;
    if (typeof multipleOf !== "number") continue;
    if (!Number.isSafeInteger(multipleOf) || multipleOf < 1)
      throw source.refuse(
        source.child(ref, 0, "multipleOf").path,
        "only integers of at least 1 can be followed while an answer is written",
        "Leave it out, and round what comes.",
      );
    least = least === undefined ? multipleOf : (least / gcd(least, multipleOf)) * multipleOf;
  }
  return least === 1 ? undefined : least;
}

function refuseMultiples(source: SchemaSource, { schemas }: Shape): Error {
  const ref = schemas.find(({ schema }) => (schema as SchemaObject).multipleOf !== undefined)!;
  return source.refuse(
    source.child(ref, 0, "multipleOf").path,
    `it and the bounds leave too many values, or only one bound; at most ${MOST_MULTIPLES} values within bounds can be followed, or divisors up to ${MOST_REMAINDERS} without`,
  );
}

/** Whole numbers that `divisor` divides, by the remainder of what is written. */
function writeMultiples(
  rules: JsonRules,
  from: number,
  divisor: number,
  { negative, zero }: { negative: boolean; zero: boolean },
  to: number,
): void {
  const { builder } = rules;
  if (zero) rules.put(from, literal("0"), to);
  const begin = builder.state();
  builder.skip(from, begin);
  if (negative) rules.put(from, literal("-"), begin);
  // By digits written, since they must end, and by the remainder.
  const states = Array.from({ length: DIGITS }, () =>
    Array.from({ length: divisor }, () => builder.state()),
  );
  const digit = (from: number, written: number, before: number, value: number): void =>
    builder.bytes(
      from,
      0x30 + value,
      0x30 + value,
      states[written]![(before * 10 + value) % divisor]!,
    );
  for (let value = 1; value < 10; value += 1) digit(begin, 0, 0, value);
  states.forEach((remainders, written) => {
    builder.skip(remainders[0]!, to);
    if (written + 1 === DIGITS) return;
    remainders.forEach((state, before) => {
      for (let value = 0; value < 10; value += 1) digit(state, written + 1, before, value);
    });
  });
}
