import { fits } from "./check-value.ts";
import { isObject, type SchemaObject, type SchemaRef, type SchemaSource } from "./schema-source.ts";
import { kindOf, type Shape, shapesOf } from "./shapes.ts";

/** How deep objects are compared. */
const DEPTH = 4;

/** Throws unless no value can be of two branches of a `oneOf`: nothing else can tell them apart while it is written. */
export function checkExclusive(source: SchemaSource, ref: SchemaRef): void {
  const branches = source.list(ref, "oneOf");
  const { oneOf: _, ...rest } = ref.schema as SchemaObject;
  const beside = { schema: rest, path: `${ref.path}(but oneOf)` };
  const shapes = branches.map((branch) => shapesOf(source, [branch, beside]));
  for (let i = 0; i < branches.length; i += 1)
    for (let j = 0; j < i; j += 1) {
      const apart = shapes[i]!.every((a) => shapes[j]!.every((b) => areApart(source, a, b, DEPTH)));
      if (apart) continue;
      throw source.refuse(
        source.child(ref, 0, "oneOf").path,
        `a value may be of both branch ${j} and branch ${i}`,
        'Use "anyOf", or give the branches a property with another "const" each.',
      );
    }
}

/** Whether no value can be of both; false where that is not plain. */
function areApart(source: SchemaSource, a: Shape, b: Shape, depth: number): boolean {
  if (a.literals) return a.literals.every((value) => outside(source, value, b));
  if (b.literals) return b.literals.every((value) => outside(source, value, a));
  return [...a.kinds].every((kind) => {
    if (!b.kinds.has(kind)) return true;
    if (kind === "number") return numbersApart(a, b);
    if (kind === "string") return countsApart(a, b, "minLength", "maxLength");
    if (kind === "array") return countsApart(a, b, "minItems", "maxItems");
    return kind === "object" && objectsApart(source, a, b, depth);
  });
}

const outside = (source: SchemaSource, value: unknown, shape: Shape): boolean =>
  shape.literals
    ? !shape.schemas.every((ref) => fits(source, value, ref))
    : !shape.kinds.has(kindOf(value)) || !shape.schemas.every((ref) => fits(source, value, ref));

const numbersOf = ({ schemas }: Shape, keyword: string): number[] =>
  schemas.flatMap(({ schema }) => {
    const value = (schema as SchemaObject)[keyword];
    return typeof value === "number" ? [value] : [];
  });

function countsApart(a: Shape, b: Shape, min: string, max: string): boolean {
  const below = (one: Shape, other: Shape): boolean =>
    numbersOf(one, max).some((most) => numbersOf(other, min).some((least) => most < least));
  return below(a, b) || below(b, a);
}

function numbersApart(a: Shape, b: Shape): boolean {
  const below = (one: Shape, other: Shape): boolean => {
    const [most, under] = [numbersOf(one, "maximum"), numbersOf(one, "exclusiveMaximum")];
    const [least, over] = [numbersOf(other, "minimum"), numbersOf(other, "exclusiveMinimum")];
    return (
      most.some((x) => least.some((y) => x < y) || over.some((y) => x <= y)) ||
      under.some((x) => [...least, ...over].some((y) => x <= y))
    );
  };
  return below(a, b) || below(b, a);
}

/** Objects are apart by a property that one must have, and the other must not, or has as something else. */
function objectsApart(source: SchemaSource, a: Shape, b: Shape, depth: number): boolean {
  if (depth === 0) return false;
  const required = (shape: Shape): Set<string> =>
    new Set(
      shape.schemas.flatMap(({ schema }) => {
        const { required } = schema as SchemaObject;
        return Array.isArray(required) ? (required as string[]) : [];
      }),
    );
  const byKey = (one: Shape, other: Shape): boolean =>
    [...required(one)].some((key) => {
      const [own, others] = [valueShapes(source, one, key), valueShapes(source, other, key)];
      if (others.length === 0 || own.length === 0) return true;
      if (!required(other).has(key)) return false;
      return own.every((x) => others.every((y) => areApart(source, x, y, depth - 1)));
    });
  return byKey(a, b) || byKey(b, a);
}

function valueShapes(source: SchemaSource, { schemas }: Shape, key: string): Shape[] {
  const refs = schemas.flatMap((ref) => {
    const { properties, additionalProperties: others } = ref.schema as SchemaObject;
    if (isObject(properties) && Object.hasOwn(properties, key))
      return [source.child(ref, properties[key], "properties", key)];
    const patterned = (ref.schema as SchemaObject).patternProperties !== undefined;
    return others === undefined || patterned
      ? []
      : [source.child(ref, others, "additionalProperties")];
  });
  return shapesOf(source, refs);
}
