import type { GrammarBuilder, Rule } from "../grammar/grammar.ts";
import { literal } from "../syntax/expression.ts";
import { checkExclusive } from "./exclusive.ts";
import { JsonRules } from "./json-text.ts";
import { type SchemaObject, type SchemaRef, SchemaSource } from "./schema-source.ts";
import { KINDS, type Shape, shapesOf } from "./shapes.ts";
import { writeArray } from "./write-arrays.ts";
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
  return new SchemaCompiler(builder, new SchemaSource(schema, field)).root();
}

/** Any JSON object. */
export const writeAnyObject = (builder: GrammarBuilder): Rule => new JsonRules(builder).object;

class SchemaCompiler {
  private readonly source: SchemaSource;
  private readonly builder: GrammarBuilder;
  private readonly rules: JsonRules;
  private readonly exclusive = new Set<string>();
  /** Rules whose insides are to be written: schemas may nest more deeply than calls can. */
  private readonly open: (() => void)[] = [];

  constructor(builder: GrammarBuilder, source: SchemaSource) {
    this.builder = builder;
    this.rules = new JsonRules(builder);
    this.source = source;
  }

  root(): Rule {
    const root = this.rule([this.source.root]);
    for (let write = this.open.pop(); write; write = this.open.pop()) write();
    return root;
  }

  private readonly rule = (refs: readonly SchemaRef[]): Rule => {
    const { source } = this;
    const asking = refs.filter(({ schema }) => schema !== true && !isEmptyObject(schema));
    if (asking.length === 0) return this.rules.value;
    const name = [...new Set(asking.map(({ path }) => path))].sort().join(" & ");
    return this.builder.rule(`schema ${name}`, (from, to) => {
      this.open.push(() => {
        for (const shape of shapesOf(source, asking)) this.write(shape, from, to);
      });
    });
  };

  private write(shape: Shape, from: number, to: number): void {
    const { source, rules, builder } = this;
    for (const ref of shape.schemas) {
      if ((ref.schema as SchemaObject).oneOf === undefined || this.exclusive.has(ref.path))
        continue;
      this.exclusive.add(ref.path);
      checkExclusive(source, ref);
    }
    if (shape.literals) {
      for (const value of shape.literals) rules.put(from, literal(JSON.stringify(value)), to);
      return;
    }
    if (
      shape.kinds.size === KINDS.length &&
      !shape.schemas.some(({ schema }) => asks(schema as SchemaObject))
    ) {
      builder.call(from, rules.value, to);
      return;
    }
    for (const kind of shape.kinds) {
      if (kind === "null") rules.put(from, literal("null"), to);
      if (kind === "boolean")
        for (const word of ["true", "false"]) rules.put(from, literal(word), to);
      if (kind === "number") writeNumber(source, rules, from, shape, to);
      if (kind === "string") {
        const [ref] = shape.schemas;
        const keyword = shape.schemas.some(({ schema }) => (schema as SchemaObject).pattern)
          ? "pattern"
          : "";
        const place = shape.schemas.find(({ schema }) => (schema as SchemaObject).pattern) ?? ref!;
        at(source, place, keyword, () =>
          writeString(rules, from, stringWishes(source, shape.schemas), to),
        );
      }
      if (kind === "array") writeArray(source, rules, from, shape, to, this.rule);
      if (kind === "object") writeObject(source, rules, from, shape, to, this.rule);
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
