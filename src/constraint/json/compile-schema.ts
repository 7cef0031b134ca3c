import type { GrammarBuilder, Rule } from "../grammar/grammar.ts";
import { checkExclusive } from "./exclusive.ts";
import { JsonRules } from "./json-text.ts";
import { type SchemaObject, type SchemaRef, SchemaSource } from "./schema-source.ts";
import { KINDS, type Shape, shapesOf } from "./shapes.ts";
import { type ValueRule, writeArray } from "./write-arrays.ts";
import { writeNumber } from "./write-numbers.ts";
import { writeObject } from "./write-objects.ts";
import { at, stringWishes, writeString } from "./write-strings.ts";

/**
 * Writes the rule of JSON texts that a schema (2020-12, or draft 7) takes. It may leave out some that are valid too: what the
 * schema does not name, other orders of properties, and more spaces. It has none that is not.
 *
 * Throws invalid_argument, naming the place behind `field`, for a schema that is not one, or that cannot be followed
 * token by token.
 */
export function writeSchema(builder: GrammarBuilder, schema: unknown, field: string): Rule {
  const source = new SchemaSource(schema, field);
  const compiler = new SchemaCompiler(source, new JsonRules(builder));
  const root = compiler.rule([source.root]);
  compiler.finish();
  return root;
}

/** Any JSON object. */
export const writeAnyObject = (builder: GrammarBuilder): Rule => new JsonRules(builder).object;

/** Writes the rules of one schema and its parts. */
export class SchemaCompiler {
  private readonly source: SchemaSource;
  private readonly rules: JsonRules;
  private readonly exclusive = new Set<string>();
  /** Rules whose insides are to be written: schemas may nest more deeply than calls can. */
  private readonly open: (() => void)[] = [];

  constructor(source: SchemaSource, rules: JsonRules) {
    this.rules = rules;
    this.source = source;
  }

  /** Writes what the rules that were asked for consist of; to be called once all have been. */
  finish(): void {
    for (let write = this.open.pop(); write; write = this.open.pop()) write();
  }

  /** The rule of values that fit all of the schemas; other `rules` may write them. */
  readonly rule = (refs: readonly SchemaRef[], rules = this.rules): Rule => {
    const { source } = this;
    const asking = refs.filter(({ schema }) => schema !== true && !isEmptyObject(schema));
    if (asking.length === 0) return rules.any;
    const paths = [...new Set(asking.map(({ path }) => path))].sort();
    const name = `${rules.notation.name}schema ${source.field}${paths.join(" & ")}`;
    return rules.builder.rule(name, (from, to) => {
      this.open.push(() => {
        for (const shape of shapesOf(source, asking)) this.write(shape, from, to, rules);
      });
    });
  };

  /** Writes what fits; an object's values as `value` says. */
  write(
    shape: Shape,
    from: number,
    to: number,
    rules = this.rules,
    value: ValueRule = (refs) => this.rule(refs, rules),
  ): void {
    const { source } = this;
    for (const ref of shape.schemas) {
      if ((ref.schema as SchemaObject).oneOf === undefined || this.exclusive.has(ref.path))
        continue;
      this.exclusive.add(ref.path);
      checkExclusive(source, ref);
    }
    const [first] = shape.schemas;
    const place = (keyword: string): SchemaRef | undefined =>
      shape.schemas.find(({ schema }) => (schema as SchemaObject)[keyword] !== undefined);
    if (shape.literals) {
      const [ref, keyword] = place("const") ? [place("const")!, "const"] : [place("enum"), "enum"];
      for (const one of shape.literals)
        at(source, ref ?? first!, keyword, () => rules.value(from, one, to));
      return;
    }
    if (
      shape.kinds.size === KINDS.length &&
      !shape.schemas.some(({ schema }) => asks(schema as SchemaObject))
    ) {
      rules.builder.call(from, rules.any, to);
      return;
    }
    const [none, ...booleans] = rules.notation.words;
    for (const kind of shape.kinds) {
      if (kind === "null") rules.text(from, none, to);
      if (kind === "boolean") for (const word of booleans) rules.text(from, word, to);
      if (kind === "number") writeNumber(source, rules, from, shape, to);
      if (kind === "string") {
        const pattern = place("pattern");
        at(source, pattern ?? first!, pattern ? "pattern" : "", () =>
          writeString(rules, from, stringWishes(source, shape.schemas), to),
        );
      }
      if (kind === "array") writeArray(source, rules, from, shape, to, value);
      if (kind === "object")
        at(source, place("properties") ?? first!, place("properties") ? "properties" : "", () =>
          writeObject(source, rules, from, shape, to, value),
        );
    }
  }
}

const isEmptyObject = (schema: unknown): boolean =>
  typeof schema === "object" && schema !== null && Object.keys(schema).length === 0;

/** Keywords that say nothing of a value, or are followed elsewhere. */
const SILENT = new Set([
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "$comment",
  "$schema",
  "$id",
  "$anchor",
  "$defs",
  "definitions",
  "$ref",
  "allOf",
  "anyOf",
  "oneOf",
  "not",
]);

const asks = (schema: SchemaObject): boolean =>
  Object.keys(schema).some((keyword) => !SILENT.has(keyword));
