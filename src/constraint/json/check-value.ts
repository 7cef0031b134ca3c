import { automatonOf, type CharAutomaton, takes } from "../syntax/char-automaton.ts";
import { foundIn, wholeMatch } from "../syntax/regex.ts";
import { FORMATS } from "./formats.ts";
import { isObject, type SchemaObject, type SchemaRef, type SchemaSource } from "./schema-source.ts";
import { at } from "./write-strings.ts";

/** Whether a literal of `const` or `enum` is what a schema asks for, in the keywords that grammars are made of. */
export function fits(source: SchemaSource, value: unknown, ref: SchemaRef): boolean {
  const { schema } = ref;
  if (typeof schema === "boolean") return schema;
  if (!isObject(schema)) throw source.refuse(ref.path, "must be an object, true or false");
  const inner = (child: SchemaRef, of = value): boolean => fits(source, of, child);
  if (schema.$ref !== undefined && !inner(source.resolve(ref, schema.$ref))) return false;
  if (schema.type !== undefined) {
    const types: unknown[] = Array.isArray(schema.type) ? schema.type : [schema.type];
    if (
      !types.some(
        (type) => type === typeOf(value) || (type === "number" && typeOf(value) === "integer"),
      )
    )
      return false;
  }
  if (schema.const !== undefined && !equal(schema.const, value)) return false;
  if (Array.isArray(schema.enum) && !schema.enum.some((one) => equal(one, value))) return false;
  if (!source.list(ref, "allOf").every((child) => inner(child))) return false;
  const any = source.list(ref, "anyOf");
  if (any.length > 0 && !any.some((child) => inner(child))) return false;
  const one = source.list(ref, "oneOf");
  if (one.length > 0 && one.filter((child) => inner(child)).length !== 1) return false;
  if (schema.not !== undefined && inner(source.child(ref, schema.not, "not"))) return false;
  if (typeof value === "number") return numberFits(schema, value);
  if (typeof value === "string") return stringFits(source, value, ref, schema);
  if (Array.isArray(value)) return arrayFits(source, value, ref, schema);
  return !isObject(value) || objectFits(source, value, ref, schema);
}

export function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

/** Equal as JSON values: the order of an object's keys says nothing. */
export function equal(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((one, i) => equal(one, b[i]));
  if (isObject(a) && isObject(b)) {
    const [keys, others] = [Object.keys(a), Object.keys(b)];
    return (
      keys.length === others.length &&
      keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
    );
  }
  return a === b;
}

const within = (value: number, min: unknown, max: unknown): boolean =>
  !(typeof min === "number" && value < min) && !(typeof max === "number" && value > max);

function numberFits(schema: SchemaObject, value: number): boolean {
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below, multipleOf } = schema;
  if (!within(value, minimum, maximum)) return false;
  if (typeof above === "number" && value <= above) return false;
  if (typeof below === "number" && value >= below) return false;
  return typeof multipleOf !== "number" || Number.isInteger(value / multipleOf);
}

function stringFits(
  source: SchemaSource,
  value: string,
  ref: SchemaRef,
  { minLength, maxLength, pattern, format }: SchemaObject,
): boolean {
  if (!within([...value].length, minLength, maxLength)) return false;
  if (typeof pattern === "string" && !finds(source, ref, "pattern", pattern, value)) return false;
  if (typeof format !== "string" || !Object.hasOwn(FORMATS, format)) return true;
  return takes(automatonOf(wholeMatch(FORMATS[format]![0]!)), value);
}

const searches = new WeakMap<SchemaSource, Map<string, CharAutomaton>>();

/** Whether a user's pattern finds something: no engine that tries one way after the other may hang over it. */
function finds(
  source: SchemaSource,
  ref: SchemaRef,
  keyword: string,
  pattern: string,
  text: string,
): boolean {
  const known = searches.get(source) ?? new Map<string, CharAutomaton>();
  searches.set(source, known);
  const search =
    known.get(pattern) ?? at(source, ref, keyword, () => automatonOf(foundIn(pattern)));
  known.set(pattern, search);
  return takes(search, text);
}

function arrayFits(
  source: SchemaSource,
  value: readonly unknown[],
  ref: SchemaRef,
  schema: SchemaObject,
): boolean {
  if (!within(value.length, schema.minItems, schema.maxItems)) return false;
  if (
    schema.uniqueItems === true &&
    value.some((one, i) => value.slice(0, i).some((other) => equal(one, other)))
  )
    return false;
  const prefix = source.list(ref, Array.isArray(schema.items) ? "items" : "prefixItems");
  const keyword = Array.isArray(schema.items) ? "additionalItems" : "items";
  return value.every((item, i) => {
    const of =
      prefix[i] ??
      (schema[keyword] === undefined ? undefined : source.child(ref, schema[keyword], keyword));
    return of === undefined || fits(source, item, of);
  });
}

function objectFits(
  source: SchemaSource,
  value: SchemaObject,
  ref: SchemaRef,
  schema: SchemaObject,
): boolean {
  const keys = Object.keys(value);
  if (!within(keys.length, schema.minProperties, schema.maxProperties)) return false;
  if (
    Array.isArray(schema.required) &&
    !schema.required.every((key) => Object.hasOwn(value, key as string))
  )
    return false;
  const names = schema.propertyNames;
  return keys.every((key) => {
    if (names !== undefined && !fits(source, key, source.child(ref, names, "propertyNames")))
      return false;
    return schemasOfKey(source, ref, key).every((of) => fits(source, value[key], of));
  });
}

/** What one schema of objects says of the value of a key. */
export function schemasOfKey(source: SchemaSource, ref: SchemaRef, key: string): SchemaRef[] {
  const own = source.named(ref, "properties").get(key);
  const patterns = [...source.named(ref, "patternProperties")].filter(([pattern]) =>
    finds(source, ref, "patternProperties", pattern, key),
  );
  const found = [...(own ? [own] : []), ...patterns.map(([, schema]) => schema)];
  const { additionalProperties: others } = ref.schema as SchemaObject;
  if (found.length > 0 || others === undefined) return found;
  return [source.child(ref, others, "additionalProperties")];
}
