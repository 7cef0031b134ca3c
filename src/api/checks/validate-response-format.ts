import type { Format } from "../../constraint/constrain.ts";
import { invalidArgument } from "../../errors.ts";
import {
  checkBoolean,
  checkLength,
  checkOneOf,
  checkString,
  describe,
  plainData,
  readFields,
} from "./check.ts";

const TYPES = ["text", "json_object", "json_schema", "regex", "grammar"] as const;
const FIELD = "response_format";

/** What an answer must be like; undefined: any text. What a schema or grammar says is looked at by those who follow it. */
export function checkResponseFormat(value: unknown): Format | undefined {
  if (value === undefined) return undefined;
  const names = ["type", "json_schema", "pattern", "grammar"];
  const given = readFields(FIELD, value, names);
  const type = checkOneOf(`${FIELD}.type`, given.type, TYPES);
  const belongs = {
    text: "",
    json_object: "",
    json_schema: "json_schema",
    regex: "pattern",
    grammar: "grammar",
  }[type];
  const other = Object.keys(given).find((name) => name !== "type" && name !== belongs);
  if (other) throw invalidArgument(`${FIELD}.${other}`, `does not go with the type "${type}"`);
  if (type === "json_schema") return { type, schema: checkJsonSchema(given.json_schema) };
  if (type === "regex") return { type, pattern: checkText("pattern", given.pattern) };
  if (type === "grammar") return { type, grammar: checkText("grammar", given.grammar) };
  return type === "text" ? undefined : { type };
}

function checkText(name: string, value: unknown): string {
  const field = `${FIELD}.${name}`;
  return checkLength(field, checkString(field, value));
}

/** The schema as plain data, which may cross to a worker. */
function checkJsonSchema(value: unknown): unknown {
  const field = `${FIELD}.json_schema`;
  const given = readFields(field, value, ["name", "description", "schema", "strict"]);
  for (const name of ["name", "description"])
    if (given[name] !== undefined) checkString(`${field}.${name}`, given[name]);
  // Schemas are always followed to the letter.
  if (given.strict !== undefined) checkBoolean(`${field}.strict`, given.strict);
  const { schema } = given;
  if (typeof schema !== "object" && typeof schema !== "boolean")
    throw invalidArgument(`${field}.schema`, `must be a JSON schema, not ${describe(schema)}`);
  return plainData(`${field}.schema`, schema);
}
