import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEngine, type Engine, type ResponseFormat } from "../../../src/node.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";

const messages = [{ role: "user" as const, content: "Who is it?" }];
const schema = {
  type: "object",
  properties: { name: { enum: ["Ann", "Bo"] }, age: { type: "integer", minimum: 0, maximum: 120 } },
  required: ["name", "age"],
  additionalProperties: false,
};
const person: ResponseFormat = {
  type: "json_schema",
  json_schema: { name: "person", strict: true, schema },
};

describe("response_format", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-format-"));
  const model = join(folder, "tiny.gguf");
  let engine: Engine;
  beforeAll(async () => {
    writeFileSync(model, tinyModel("f32"));
    engine = await createEngine({ model });
  });
  afterAll(async () => {
    await engine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const create = async (more: object) => {
    const { choices } = await engine.chat.completions.create({
      messages,
      temperature: 1,
      seed: 3,
      response_format: person,
      ...more,
      stream: false,
    });
    return { text: choices[0].message.content, finish: choices[0].finish_reason };
  };

  it("holds a whole answer and a stream to a schema, with the same text", async () => {
    const whole = await create({});
    expect(whole.finish).toBe("stop");
    expect(JSON.parse(whole.text)).toEqual({
      name: expect.stringMatching(/^(Ann|Bo)$/),
      age: expect.any(Number),
    });
    await engine.cache.reset();
    let streamed = "";
    const request = { messages, temperature: 1, seed: 3, response_format: person };
    for await (const chunk of await engine.chat.completions.create({ ...request, stream: true }))
      streamed += chunk.choices[0].delta.content ?? "";
    expect(streamed).toBe(whole.text);
  });

  it("goes with stop, max_tokens and guesses", async () => {
    const whole = await create({});
    expect(await create({ speculative: "off" })).toEqual(whole);
    const stopped = await create({ stop: '"age"' });
    expect(stopped).toEqual({
      text: whole.text.slice(0, whole.text.indexOf('"age"')),
      finish: "stop",
    });
    const short = await create({ max_tokens: 4 });
    expect(short.finish).toBe("length");
    expect(whole.text.startsWith(short.text)).toBe(true);
  });

  it("refuses what cannot be followed, with its place, and answers on", async () => {
    const refuse = async (response_format: ResponseFormat, field: string) =>
      expect(create({ response_format })).rejects.toMatchObject({
        code: "invalid_argument",
        details: { field: `response_format.${field}` },
        message: expect.stringContaining(`response_format.${field}: `),
      });
    const broken = { type: "object", properties: { x: { type: "strnig" } } };
    await refuse(
      { type: "json_schema", json_schema: { name: "a", schema: broken } },
      "json_schema.schema.properties.x.type",
    );
    await refuse({ type: "regex", pattern: "a(?=b)" }, "pattern");
    await refuse({ type: "grammar", grammar: "root ::= root | 'a'" }, "grammar");
    expect((await create({ response_format: { type: "regex", pattern: "a{5}" } })).text).toBe(
      "aaaaa",
    );
  });
});
