import { ANY_CHAR } from "../grammar/char-set.ts";
import type { Rule } from "../grammar/grammar.ts";
import {
  allBut,
  automatonOf,
  both,
  type CharAutomaton,
  isEmpty,
} from "../syntax/char-automaton.ts";
import { literal, oneOf, repeat } from "../syntax/expression.ts";
import { fits, schemasOfKey } from "./check-value.ts";
import type { JsonRules } from "./json-text.ts";
import type { SchemaObject, SchemaRef, SchemaSource } from "./schema-source.ts";
import { type Shape, shapesOf } from "./shapes.ts";
import type { ValueRule } from "./write-arrays.ts";
import { at, stringWishes, wishedText } from "./write-strings.ts";

/** Keys that the schema names, and kinds of others. */
interface ObjectWishes {
  readonly min: number;
  readonly max: number;
  readonly named: readonly { key: string; required: boolean; value: readonly SchemaRef[] }[];
  readonly others: readonly { key: Rule; value: readonly SchemaRef[] }[];
}

/**
 * Writes an object: named properties in their order, those that may be left out or not, then others where the schema
 * asks for them by `additionalProperties` or `patternProperties`, or names none at all.
 */
export function writeObject(
  source: SchemaSource,
  rules: JsonRules,
  from: number,
  shape: Shape,
  to: number,
  valueRule: ValueRule,
): void {
  const { min, max, named, others } = wishesOf(source, rules, shape.schemas);
  const { builder } = rules;
  const { first, closing } = rules.brackets(from, "object", to);
  const counted = max < Number.POSITIVE_INFINITY;
  /** The state behind `total` properties, of which `sure` have different names, before the property `index`. */
  const states = new Map<string, number>();
  const open: { index: number; total: number; sure: number; at: number }[] = [];
  const state = (index: number, total: number, sure: number): number => {
    const [all, different] = [counted ? total : Math.min(total, 1), Math.min(sure, min)];
    const key = `${index} ${all} ${different}`;
    const known = states.get(key);
    if (known !== undefined) return known;
    const at = builder.state();
    states.set(key, at);
    open.push({ index, total: all, sure: different, at });
    return at;
  };
  builder.skip(first, state(0, 0, 0));
  for (let one = open.pop(); one; one = open.pop()) {
    const { index, total, sure, at } = one;
    const property = named[index];
    if (property && !property.required) builder.skip(at, state(index + 1, total, sure));
    if (!property && sure >= min) close(total, at);
    if (total >= max) continue;
    const write = (key: Rule, value: Rule, next: number): void => {
      const ready = total === 0 ? at : builder.state();
      if (total > 0) rules.comma(at, ready);
      rules.entry(ready, key, value, next);
    };
    if (property) {
      const { key, value } = property;
      write(rules.key(key), valueRule(value, key), state(index + 1, total + 1, sure + 1));
    }
    // Others may have one name twice, and then count as one.
    else
      for (const { key, value } of others)
        write(
          key,
          valueRule(value),
          state(named.length + 1, total + 1, sure + Number(index === named.length)),
        );
  }
  function close(total: number, at: number): void {
    if (total === 0) builder.skip(at, closing);
    else rules.space(at, closing);
  }
}

function wishesOf(
  source: SchemaSource,
  rules: JsonRules,
  schemas: readonly SchemaRef[],
): ObjectWishes {
  let [min, max] = [0, Number.POSITIVE_INFINITY];
  const required = new Set<string>();
  const keys = new Set<string>();
  const names: SchemaRef[] = [];
  for (const ref of schemas) {
    const schema = ref.schema as SchemaObject;
    if (typeof schema.minProperties === "number") min = Math.max(min, schema.minProperties);
    if (typeof schema.maxProperties === "number") max = Math.min(max, schema.maxProperties);
    for (const key of source.named(ref, "properties").keys()) keys.add(key);
    for (const key of (schema.required as string[] | undefined) ?? []) required.add(key);
    if (schema.propertyNames !== undefined)
      names.push(source.child(ref, schema.propertyNames, "propertyNames"));
  }
  for (const key of required) keys.add(key);
  const named = [...keys]
    .map((key) => ({
      key,
      required: required.has(key),
      value: schemas.flatMap((ref) => schemasOfKey(source, ref, key)),
    }))
    .filter(
      ({ key, required, value }) =>
        required ||
        (value.every(({ schema }) => schema !== false) &&
          names.every((ref) => fits(source, key, ref))),
    );
  const bad = named.find(({ key }) => !names.every((ref) => fits(source, key, ref)));
  if (bad)
    throw source.refuse(names[0]!.path, `excludes ${JSON.stringify(bad.key)}, which is required`);
  return { min, max, named, others: othersOf(source, rules, schemas, [...keys], names) };
}

/** Kinds of keys beside the named ones. */
function othersOf(
  source: SchemaSource,
  rules: JsonRules,
  schemas: readonly SchemaRef[],
  keys: readonly string[],
  names: readonly SchemaRef[],
): { key: Rule; value: SchemaRef[] }[] {
  const asked = (keyword: string): SchemaRef[] =>
    schemas.filter(({ schema }) => (schema as SchemaObject)[keyword] !== undefined);
  const rest = asked("additionalProperties").map((ref) =>
    source.child(ref, (ref.schema as SchemaObject).additionalProperties, "additionalProperties"),
  );
  const limits = [...(keys.length > 0 ? [allBut(keys)] : []), ...nameLimits(source, names)];
  const patterned = asked("patternProperties").filter(
    (ref) => source.named(ref, "patternProperties").size > 0,
  );
  if (patterned.length > 1)
    throw source.refuse(
      `${patterned[1]!.path}.patternProperties`,
      "only one of the schemas that hold at once may have it",
    );
  if (patterned.length === 1) {
    const [ref] = patterned as [SchemaRef];
    const beside = rest.filter(({ path }) => path !== `${ref.path}.additionalProperties`);
    return patternsOf(source, rules, ref, limits, beside);
  }
  if (rest.length === 0 && keys.length > 0) return [];
  if (rest.some(({ schema }) => schema === false)) return [];
  return [{ key: rules.keys(limits), value: rest }];
}

function patternsOf(
  source: SchemaSource,
  rules: JsonRules,
  ref: SchemaRef,
  limits: readonly CharAutomaton[],
  beside: readonly SchemaRef[],
): { key: Rule; value: SchemaRef[] }[] {
  const kinds = [...source.named(ref, "patternProperties")].map(([pattern, value]) => {
    const wishes = at(source, value, "", () =>
      wishedText(stringWishes(source, [{ schema: { pattern }, path: value.path }])),
    );
    return {
      value,
      wishes: wishes ?? automatonOf(repeat(oneOf(ANY_CHAR), 0, Number.POSITIVE_INFINITY)),
    };
  });
  kinds.forEach(({ wishes, value }, i) => {
    for (const other of kinds.slice(0, i))
      if (!isEmpty(both(wishes, other.wishes)))
        throw source.refuse(
          value.path,
          "a key may match it and another pattern",
          "Make patterns that exclude each other.",
        );
  });
  return kinds.map(({ wishes, value }) => ({
    key: rules.keys([wishes, ...limits]),
    value: [value, ...beside],
  }));
}

/** What `propertyNames` asks of keys that the schema does not name. */
function nameLimits(source: SchemaSource, names: readonly SchemaRef[]): CharAutomaton[] {
  if (names.length === 0) return [];
  const shapes = shapesOf(source, names).filter(({ kinds }) => kinds.has("string"));
  if (shapes.length === 1 && !shapes[0]!.literals) {
    const text = at(source, names[0]!, "", () =>
      wishedText(stringWishes(source, shapes[0]!.schemas)),
    );
    return text ? [text] : [];
  }
  const literals = shapes.flatMap((shape) => shape.literals ?? [undefined]);
  if (literals.includes(undefined))
    throw source.refuse(
      names[0]!.path,
      "choices among patterns are not supported for names",
      "Use one pattern.",
    );
  const texts = literals.filter((value) => typeof value === "string");
  return [automatonOf({ kind: "choice", parts: texts.map((text) => literal(text)) })];
}
