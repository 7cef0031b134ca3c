import type { Rule } from "../grammar/grammar.ts";
import { schemasOfKey } from "../json/check-value.ts";
import { SchemaCompiler } from "../json/compile-schema.ts";
import type { JsonRules } from "../json/json-text.ts";
import { isObject, type SchemaRef, SchemaSource } from "../json/schema-source.ts";
import { type Shape, shapesOf } from "../json/shapes.ts";

/** Keywords that say nothing of what an object may have. */
const SILENT = new Set([
  "type",
  "properties",
  "required",
  "title",
  "description",
  "$schema",
  "$id",
]);

/** Writes texts that stand as they are, the arguments of a call, and the values in them. */
interface ArgumentRules {
  readonly arguments: JsonRules;
  readonly values: JsonRules;
  readonly texts: JsonRules | undefined;
}

/** What a tool takes, by its schema. Throws invalid_argument, naming the place behind `field`, for one that is no schema of objects. */
export class ToolArguments {
  private readonly source: SchemaSource;
  /** Ways to be an object that fits. */
  private readonly shapes: readonly Shape[];

  constructor(schema: unknown, field: string) {
    this.source = new SchemaSource(schema, field);
    const { root } = this.source;
    // What names no argument takes none.
    const closed = isObject(schema) && takesNothing(schema);
    const object = { type: "object", ...(closed && { additionalProperties: false }) };
    this.shapes = shapesOf(this.source, [root, { schema: object, path: " as an object" }]);
    if (this.shapes.length === 0)
      throw this.source.refuse(
        "",
        "must take an object: a tool's arguments have names",
        'For example { type: "object", properties: { city: { type: "string" } } }.',
      );
  }

  /** Whether an argument can be a string alone, however the object is. */
  isText(key: string): boolean {
    return this.shapes.every(({ schemas }) => {
      const named = schemas.some((ref) => this.source.named(ref, "properties").has(key));
      const refs = schemas.flatMap((ref) => schemasOfKey(this.source, ref, key));
      return named && shapesOf(this.source, refs).every(isText);
    });
  }

  write(rules: ArgumentRules): Rule {
    const { source } = this;
    const { builder } = rules.arguments;
    const compiler = new SchemaCompiler(source, rules.values);
    const value = (refs: readonly SchemaRef[], key?: string): Rule => {
      const text = rules.texts && key !== undefined && this.isText(key);
      return compiler.rule(refs, text ? rules.texts : rules.values);
    };
    const rule = builder.rule(`arguments ${source.field}`, (from, to) => {
      for (const shape of this.shapes) {
        if (shape.literals && rules.arguments.notation !== rules.values.notation)
          throw source.refuse("", "must name its properties, not whole values");
        compiler.write(shape, from, to, rules.arguments, value);
      }
    });
    compiler.finish();
    return rule;
  }
}

const isText = ({ literals, kinds }: Shape): boolean =>
  literals
    ? literals.every((value) => typeof value === "string")
    : kinds.size === 1 && kinds.has("string");

const takesNothing = (schema: Readonly<Record<string, unknown>>): boolean =>
  Object.keys(schema).every((key) => SILENT.has(key)) &&
  Object.keys(schema.properties ?? {}).length === 0 &&
  !(Array.isArray(schema.required) && schema.required.length > 0);
