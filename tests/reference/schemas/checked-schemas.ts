import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { constrain } from "../../../src/constraint/constrain.ts";
import type { Constraint } from "../../../src/constraint/constraint.ts";
import type { WinnowError } from "../../../src/errors.ts";
import type { Tokenizer } from "../../../src/text/types.ts";
import { randomSchema, type Schema } from "./random-schema.ts";

export interface CheckedSchema {
  readonly schema: Schema;
  /** What is wrong with a text, by ajv; undefined: it is valid. */
  fault(text: string): string | undefined;
}

/** `count` random schemas. What draws in between from the same numbers changes the schemas behind. */
export function* checkedSchemas(random: () => number, count: number): Generator<CheckedSchema> {
  for (let i = 0; i < count; i += 1) yield checked(randomSchema(random));
}

export function checked(schema: Schema): CheckedSchema {
  const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true }));
  const valid = ajv.compile(schema);
  const told = (why: string, text: string): string => `${JSON.stringify(schema)}\n${text}\n${why}`;
  return {
    schema,
    fault(text) {
      try {
        return valid(JSON.parse(text)) ? undefined : told(ajv.errorsText(valid.errors), text);
      } catch (error) {
        return told(`${error}`, text);
      }
    },
  };
}

/** What holds an answer to a schema; undefined where the schema is refused, with its place. */
export function holdTo(tokenizer: Tokenizer, { schema }: CheckedSchema): Constraint | undefined {
  try {
    return constrain(tokenizer, { type: "json_schema", schema });
  } catch (error) {
    if ((error as WinnowError).code !== "invalid_argument") throw error;
    return undefined;
  }
}
