import { describe, expect, test } from "vitest";
import { constrain } from "../../../src/constraint/constrain.ts";
import { seededRandom } from "../../../src/random.ts";
import { byteTokenizer } from "../../reference/schemas/byte-tokenizer.ts";
import { checked, checkedSchemas, holdTo } from "../../reference/schemas/checked-schemas.ts";
import type { Schema } from "../../reference/schemas/random-schema.ts";
import { drawnWithin, randomText } from "../../reference/schemas/random-walk.ts";
import { REFUSED_SCHEMAS, SCHEMA_KINDS } from "../../reference/schemas/schema-kinds.ts";

const tokenizer = byteTokenizer();

describe("what is drawn at random is valid", () => {
  test.each(Object.entries(SCHEMA_KINDS))("%s", (_name, schema) => {
    const one = checked(schema);
    const random = seededRandom(7);
    let ended = 0;
    for (let i = 0; i < 40; i += 1) {
      const text = randomText(tokenizer, holdTo(tokenizer, one)!, random);
      if (text === undefined) continue;
      ended += 1;
      expect(one.fault(text)).toBeUndefined();
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
  for (const one of checkedSchemas(random, 200)) {
    const start = holdTo(tokenizer, one);
    if (!start) continue;
    followed += 1;
    for (let k = 0; k < 3; k += 1) {
      const text = randomText(tokenizer, start.fork(), random, 1500);
      if (text === undefined) continue;
      ended += 1;
      expect(one.fault(text)).toBeUndefined();
    }
  }
  expect(followed).toBeGreaterThan(140);
  expect(ended).toBeGreaterThan(2 * followed);
});

describe("an answer is brought to its end within its tokens", () => {
  test.each([
    ["strings and lists without end", { type: "array", items: { type: "string" }, minItems: 2 }],
    ["nesting without end", SCHEMA_KINDS["a recursive tree"]],
    [
      "50 properties that must be there",
      {
        type: "object",
        properties: Object.fromEntries(
          Array.from({ length: 50 }, (_, i) => [`field_${i}`, { type: ["string", "number"] }]),
        ),
        required: Array.from({ length: 50 }, (_, i) => `field_${i}`),
      },
    ],
    ["a long string", { type: "string", minLength: 300 }],
    [
      "large things that need not be there",
      {
        type: "object",
        properties: Object.fromEntries(
          [..."abcdef"].map((name) => [name, { type: "string", minLength: 40, pattern: "^x+$" }]),
        ),
      },
    ],
  ])("%s", (_name, schema) => {
    const one = checked(schema as Schema);
    const start = holdTo(tokenizer, one)!;
    const random = seededRandom(5);
    // The fewest tokens that suffice.
    let [too, least] = [0, 600];
    while (least - too > 1) {
      const limit = (too + least) >> 1;
      if (drawnWithin(tokenizer, start.fork(), limit, random).text === undefined) too = limit;
      else least = limit;
    }
    for (const limit of [least, least + 1, least + 2, least + 5, least + 20, least * 2, 600])
      for (let i = 0; i < 10; i += 1) {
        const { text, tokens } = drawnWithin(tokenizer, start.fork(), limit, random);
        expect(tokens.length).toBeLessThanOrEqual(limit);
        expect(one.fault(text ?? ""), `of ${limit} tokens, ${least} are needed`).toBeUndefined();
      }
  });

  test("200 random schemas", () => {
    const random = seededRandom(4);
    let whole = 0;
    for (const one of checkedSchemas(random, 200)) {
      const start = holdTo(tokenizer, one);
      if (!start) continue;
      expect(one.fault(drawnWithin(tokenizer, start, 400, random).text ?? "")).toBeUndefined();
      whole += 1;
    }
    expect(whole).toBeGreaterThan(140);
  });

  test("says that it was hurried, and only then", () => {
    const long = constrain(tokenizer, {
      type: "json_schema",
      schema: { type: "string", minLength: 90 },
    });
    drawnWithin(tokenizer, long, 60, seededRandom(1));
    expect(long.hurried).toBe(true);
    const short = constrain(tokenizer, { type: "json_schema", schema: { enum: ["a", "b"] } });
    drawnWithin(tokenizer, short, 60, seededRandom(1));
    expect(short.hurried).toBe(false);
  });
});
