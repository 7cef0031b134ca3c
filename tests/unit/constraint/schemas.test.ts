import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, test } from "vitest";
import { constrain } from "../../../src/constraint/constrain.ts";
import type { Constraint } from "../../../src/constraint/constraint.ts";
import { seededRandom } from "../../../src/random.ts";
import { byteTokenizer } from "../../reference/schemas/byte-tokenizer.ts";
import { randomSchema } from "../../reference/schemas/random-schema.ts";
import { randomText } from "../../reference/schemas/random-walk.ts";
import { REFUSED_SCHEMAS, SCHEMA_KINDS } from "../../reference/schemas/schema-kinds.ts";

const tokenizer = byteTokenizer();
const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true }));

describe("what is drawn at random is valid", () => {
  test.each(Object.entries(SCHEMA_KINDS))("%s", (_name, schema) => {
    const valid = ajv.compile(schema);
    const random = seededRandom(7);
    let ended = 0;
    for (let i = 0; i < 40; i += 1) {
      const text = randomText(
        tokenizer,
        constrain(tokenizer, { type: "json_schema", schema }),
        random,
      );
      if (text === undefined) continue;
      ended += 1;
      if (!valid(JSON.parse(text))) expect.fail(`${text}: ${ajv.errorsText(valid.errors)}`);
    }
    expect(ended).toBeGreaterThan(20);
  });
});

describe("a schema that cannot be followed is refused beforehand, with its place", () => {
  test.each(REFUSED_SCHEMAS)("%s", (_name, schema, place) => {
    const field = `response_format.json_schema.schema${place}`;
    const refused = expect.objectContaining({ code: "invalid_argument", details: { field } });
    expect(() => constrain(tokenizer, { type: "json_schema", schema })).toThrow(refused);
  });
});

test("200 random schemas: what is drawn is valid, or the schema is refused beforehand", () => {
  const random = seededRandom(3);
  let [followed, ended] = [0, 0];
  for (let i = 0; i < 200; i += 1) {
    const schema = randomSchema(random);
    const valid = ajv.compile(schema);
    let start: Constraint;
    try {
      start = constrain(tokenizer, { type: "json_schema", schema });
    } catch (error) {
      expect(error).toMatchObject({ code: "invalid_argument" });
      continue;
    }
    followed += 1;
    for (let k = 0; k < 3; k += 1) {
      const text = randomText(tokenizer, start.fork(), random, 1500);
      if (text === undefined) continue;
      ended += 1;
      if (!valid(JSON.parse(text)))
        expect.fail(`${JSON.stringify(schema)}\n${text}\n${ajv.errorsText(valid.errors)}`);
    }
  }
  expect(followed).toBeGreaterThan(140);
  expect(ended).toBeGreaterThan(2 * followed);
});
