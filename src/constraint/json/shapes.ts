import { equal, fits, typeOf } from "./check-value.ts";
import { isObject, type SchemaObject, type SchemaRef, type SchemaSource } from "./schema-source.ts";

export const KINDS = ["null", "boolean", "number", "string", "array", "object"] as const;
export type Kind = (typeof KINDS)[number];

/** One way to be what some schemas together ask for: literals, or values of some kinds. */
export interface Shape {
  /** Without those that hold nothing but references and choices: all of them must be fulfilled. */
  readonly schemas: readonly SchemaRef[];
  readonly literals: readonly unknown[] | undefined;
  readonly kinds: ReadonlySet<Kind>;
  /** Numbers are integers. */
  readonly whole: boolean;
}

/** More ways than that are refused, and more to be looked at. */
const MOST_SHAPES = 256;
const MOST_LOOKS = 5000;

/** What no grammar here can follow. */
const REFUSED: Readonly<Record<string, string>> = {
  if: 'Write the cases as "anyOf".',
  dependentSchemas: 'Write the cases as "anyOf".',
  dependentRequired: 'Write the cases as "anyOf".',
  dependencies: 'Write the cases as "anyOf".',
  contains: 'Use "prefixItems" for what must be there.',
  unevaluatedItems: 'Use "items".',
  $dynamicRef: 'Use "$ref".',
  $recursiveRef: 'Use "$ref".',
};

/** The ways to be what all of `refs` ask for; none where nothing can be. */
export function shapesOf(source: SchemaSource, refs: readonly SchemaRef[]): Shape[] {
  const shapes: Shape[] = [];
  let looks = 0;
  const expand = (refs: readonly SchemaRef[], chosen: readonly string[]): void => {
    looks += 1;
    if (looks > MOST_LOOKS) throw source.refuse(refs[0]!.path, "has too many ways to be fulfilled");
    const flat = flatten(source, refs);
    if (!flat) return;
    const open = flat.choices.find(({ path }) => !chosen.includes(path));
    if (!open) {
      const shape = shapeOf(source, flat.schemas);
      if (shape) shapes.push(shape);
      if (shapes.length > MOST_SHAPES)
        throw source.refuse(
          flat.schemas[0]!.path,
          `has more than ${MOST_SHAPES} ways to be fulfilled`,
        );
      return;
    }
    for (const branch of open.branches) expand([...flat.schemas, branch], [...chosen, open.path]);
  };
  expand(refs, []);
  return shapes;
}

interface Choice {
  readonly path: string;
  readonly branches: readonly SchemaRef[];
}

/** All schemas that hold at once, references followed, and the choices among others; undefined: nothing can be. */
function flatten(
  source: SchemaSource,
  refs: readonly SchemaRef[],
): { schemas: SchemaRef[]; choices: Choice[] } | undefined {
  const seen = new Map<string, SchemaRef>();
  const choices: Choice[] = [];
  const open = [...refs];
  for (let ref = open.shift(); ref; ref = open.shift()) {
    const { schema, path } = ref;
    if (schema === true || seen.has(path)) continue;
    if (schema === false) return undefined;
    if (!isObject(schema)) throw source.refuse(path, "must be an object, true or false");
    seen.set(path, ref);
    checkKeywords(source, ref, schema);
    if (schema.$ref !== undefined) open.push(source.resolve(ref, schema.$ref));
    open.push(...source.list(ref, "allOf"));
    for (const keyword of ["anyOf", "oneOf"]) {
      const branches = source.list(ref, keyword);
      if (branches.length === 0) continue;
      const choice = { path: source.child(ref, 0, keyword).path, branches };
      choices.push(choice);
    }
  }
  return { schemas: [...seen.values()], choices };
}

function checkKeywords(source: SchemaSource, ref: SchemaRef, schema: SchemaObject): void {
  const place = (keyword: string): string => source.child(ref, 0, keyword).path;
  for (const [keyword, hint] of Object.entries(REFUSED))
    if (schema[keyword] !== undefined)
      throw source.refuse(place(keyword), "cannot be followed while an answer is written", hint);
  for (const keyword of COUNTS) {
    const value = schema[keyword];
    if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)) continue;
    throw source.refuse(place(keyword), "must be an integer of at least 0");
  }
  for (const keyword of NUMBERS)
    if (schema[keyword] !== undefined && !Number.isFinite(schema[keyword]))
      throw source.refuse(place(keyword), "must be a number");
  for (const keyword of ["pattern", "format"])
    if (schema[keyword] !== undefined && typeof schema[keyword] !== "string")
      throw source.refuse(place(keyword), "must be a string");
  if (schema.enum !== undefined && !Array.isArray(schema.enum))
    throw source.refuse(place("enum"), "must be a list");
  const { required } = schema;
  if (
    required !== undefined &&
    !(Array.isArray(required) && required.every((key) => typeof key === "string"))
  )
    throw source.refuse(place("required"), "must be a list of strings");
  for (const type of typesOf(schema) ?? [])
    if (type !== "integer" && !(KINDS as readonly unknown[]).includes(type))
      throw source.refuse(place("type"), `${JSON.stringify(type)} is not a type of JSON Schema`);
  if (schema.uniqueItems !== undefined && typeof schema.uniqueItems !== "boolean")
    throw source.refuse(place("uniqueItems"), "must be true or false");
}

const COUNTS = ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"];
const NUMBERS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

const typesOf = ({ type }: SchemaObject): readonly unknown[] | undefined =>
  type === undefined ? undefined : Array.isArray(type) ? type : [type];

function shapeOf(source: SchemaSource, schemas: readonly SchemaRef[]): Shape | undefined {
  let kinds = new Set<Kind>(KINDS);
  let whole = false;
  let literals: readonly unknown[] | undefined;
  for (const { schema } of schemas) {
    const object = schema as SchemaObject;
    const types = typesOf(object);
    if (types) {
      kinds = new Set(
        [...kinds].filter(
          (kind) => types.includes(kind) || (kind === "number" && types.includes("integer")),
        ),
      );
      whole ||= types.includes("integer") && !types.includes("number");
    }
    if (object.const !== undefined) literals = [object.const];
    else if (Array.isArray(object.enum)) literals ??= object.enum;
  }
  if (literals) {
    const fitting = literals.filter(
      (value, i) =>
        schemas.every((ref) => fits(source, value, ref)) &&
        !literals!.slice(0, i).some((other) => equal(other, value)),
    );
    return fitting.length > 0 ? { schemas, literals: fitting, kinds, whole } : undefined;
  }
  for (const ref of schemas) {
    const { not } = ref.schema as SchemaObject;
    if (not !== undefined) kinds = exclude(source, ref, not, kinds, whole);
  }
  return kinds.size > 0 ? { schemas, literals, kinds, whole } : undefined;
}

/** The kinds that `not` leaves; only what excludes whole kinds can be followed. */
function exclude(
  source: SchemaSource,
  ref: SchemaRef,
  not: unknown,
  kinds: ReadonlySet<Kind>,
  whole: boolean,
): Set<Kind> {
  if (not === false) return new Set(kinds);
  const keys = isObject(not) ? Object.keys(not) : [];
  const types = isObject(not) ? typesOf(not) : undefined;
  const left = [...kinds].filter((kind) => {
    if (kind === "number")
      return !(types?.includes("number") || (whole && types?.includes("integer")));
    return !types?.includes(kind);
  });
  const halves =
    types?.includes("integer") && !types.includes("number") && !whole && kinds.has("number");
  if (not !== true && keys.length === 1 && types && !halves) return new Set(left);
  if (not === true) return new Set();
  const values =
    isObject(not) && keys.length === 1 && (not.enum ?? (not.const !== undefined && [not.const]));
  if (Array.isArray(values) && values.every((value) => !kinds.has(kindOf(value))))
    return new Set(kinds);
  throw source.refuse(
    source.child(ref, 0, "not").path,
    "cannot be followed while an answer is written, but for types",
    'List what is allowed, as "enum" or "anyOf".',
  );
}

export function kindOf(value: unknown): Kind {
  const type = typeOf(value);
  return type === "integer" ? "number" : (type as Kind);
}
