import type { Rule } from "../grammar/grammar.ts";
import { equal } from "./check-value.ts";
import type { JsonRules } from "./json-text.ts";
import type { SchemaObject, SchemaRef, SchemaSource } from "./schema-source.ts";
import { type Shape, shapesOf } from "./shapes.ts";

/** Makes the rule of what several schemas ask for; of a property's value, where it has a name. */
export type ValueRule = (refs: readonly SchemaRef[], property?: string) => Rule;

/** Values of which an array may hold each but once. */
const MOST_UNIQUE = 8;

interface ArrayWishes {
  readonly min: number;
  readonly max: number;
  readonly prefix: readonly (readonly SchemaRef[])[];
  readonly rest: readonly SchemaRef[];
}

export function writeArray(
  source: SchemaSource,
  rules: JsonRules,
  from: number,
  shape: Shape,
  to: number,
  valueRule: ValueRule,
): void {
  const { min, max, prefix, rest } = wishesOf(source, shape.schemas);
  const unique = shape.schemas.find(({ schema }) => (schema as SchemaObject).uniqueItems === true);
  const { builder } = rules;
  const { first, closing } = rules.brackets(from, "array", to);
  const end = (at: number, count: number): void => {
    if (count < min) return;
    if (count === 0) builder.skip(at, closing);
    else rules.space(at, closing);
  };
  if (unique && max > 1) {
    writeUnique(source, rules, first, unique, { min, max, prefix, rest }, end);
    return;
  }
  let at = first;
  for (let i = 0; i < Math.min(prefix.length, max); i += 1) {
    end(at, i);
    const [ready, behind] = [i === 0 ? at : builder.state(), builder.state()];
    if (i > 0) rules.comma(at, ready);
    builder.call(ready, valueRule(prefix[i]!), behind);
    at = behind;
  }
  const written = Math.min(prefix.length, max);
  end(at, written);
  const [need, room] = [Math.max(0, min - written), max - written];
  if (room <= 0) return;
  const item = valueRule(rest);
  const behind = builder.state();
  if (written === 0) {
    // The first has no comma before it.
    builder.call(at, item, behind);
    end(behind, 1);
  }
  const [left, most] = written === 0 ? [Math.max(0, need - 1), room - 1] : [need, room];
  const loop = builder.own((start, stop) =>
    builder.count(
      start,
      Math.max(left, 1),
      most,
      (inside, head) => {
        const ready = builder.state();
        rules.comma(inside, ready);
        builder.call(ready, item, head);
      },
      stop,
    ),
  );
  if (most <= 0) return;
  const last = builder.state();
  builder.call(written === 0 ? behind : at, loop, last);
  end(last, Math.max(min, 1));
}

function wishesOf(source: SchemaSource, schemas: readonly SchemaRef[]): ArrayWishes {
  let [min, max, longest] = [0, Number.POSITIVE_INFINITY, 0];
  const parts = schemas.map((ref) => {
    const schema = ref.schema as SchemaObject;
    if (typeof schema.minItems === "number") min = Math.max(min, schema.minItems);
    if (typeof schema.maxItems === "number") max = Math.min(max, schema.maxItems);
    // Older drafts have a list in "items".
    const [list, others] = Array.isArray(schema.items)
      ? ["items", "additionalItems"]
      : ["prefixItems", "items"];
    const prefix = source.list(ref, list!);
    const rest = schema[others!] === undefined ? [] : [source.child(ref, schema[others!], others!)];
    longest = Math.max(longest, prefix.length);
    return { prefix, rest };
  });
  const rest = parts.flatMap((part) => part.rest);
  const prefix = Array.from({ length: longest }, (_, i) =>
    parts.flatMap((part) => (i < part.prefix.length ? [part.prefix[i]!] : part.rest)),
  );
  // What a tuple does not name is not written, but where it must be.
  if (longest > 0 && rest.length === 0) max = Math.min(max, Math.max(min, longest));
  if (rest.some(({ schema }) => schema === false)) max = Math.min(max, longest);
  return { min, max, prefix, rest };
}

/** Each literal at most once: by which of them have been written. */
function writeUnique(
  source: SchemaSource,
  rules: JsonRules,
  first: number,
  unique: SchemaRef,
  { max, prefix, rest }: ArrayWishes,
  end: (at: number, count: number) => void,
): void {
  const { builder } = rules;
  const shapes = prefix.length === 0 && rest.length > 0 ? shapesOf(source, rest) : [];
  const booleans = (shape: Shape): readonly unknown[] | undefined =>
    shape.literals ??
    ([...shape.kinds].every((kind) => kind === "boolean" || kind === "null")
      ? [...shape.kinds].flatMap((kind) => (kind === "null" ? [null] : [true, false]))
      : undefined);
  const lists = shapes.map(booleans);
  const values = lists
    .flatMap((list) => list ?? [])
    .filter((value, i, all) => !all.slice(0, i).some((other) => equal(other, value)));
  if (shapes.length === 0 || lists.includes(undefined) || values.length > MOST_UNIQUE)
    throw source.refuse(
      source.child(unique, 0, "uniqueItems").path,
      `can be followed only where items are an "enum" of at most ${MOST_UNIQUE} values`,
      "Leave it out, and drop what comes twice.",
    );
  const states = new Map<number, number>([[0, first]]);
  for (const [used, at] of states) {
    const count = used.toString(2).replaceAll("0", "").length;
    end(at, count);
    if (count >= max) continue;
    const ready = count === 0 ? at : builder.state();
    if (count > 0) rules.comma(at, ready);
    values.forEach((value, i) => {
      if (used & (1 << i)) return;
      const next = used | (1 << i);
      if (!states.has(next)) states.set(next, builder.state());
      rules.value(ready, value, states.get(next)!);
    });
  }
}
