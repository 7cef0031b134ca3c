import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type ChatMessage, createEngine, type Engine } from "../../../src/node.ts";
import { TINY_MODELS, tinyGguf } from "../../reference/tiny-model/tiny-model.ts";
import { TOOL_TEXTS } from "../../reference/tiny-model/tool-templates.ts";

const function_ = (
  name: string,
  parameters: Record<string, unknown>,
  description = `Does ${name}.`,
) => ({ type: "function", function: { name, description, parameters } }) as const;

const short = { type: "string", maxLength: 8 };
const TOOLS = [
  function_("get_weather", {
    type: "object",
    properties: {
      city: short,
      days: { type: "integer", minimum: 1, maximum: 9 },
      unit: { enum: ["c", "f"] },
    },
    required: ["city"],
    additionalProperties: false,
  }),
  function_("now", { type: "object", properties: {} }),
  function_("find", {
    type: "object",
    properties: {
      code: { type: "string", pattern: "^[a-c]{2}\\d$" },
      flags: { type: "array", items: { type: "boolean" }, maxItems: 2 },
      near: {
        type: "object",
        properties: { x: { type: "integer", minimum: 0, maximum: 99 }, label: short },
        required: ["x"],
        additionalProperties: false,
      },
    },
    required: ["code", "near"],
    additionalProperties: false,
  }),
];
const ajv = new Ajv2020();
const VALID = new Map(
  TOOLS.map(({ function: { name, parameters } }) => [name, ajv.compile(parameters)]),
);
const ASKED: ChatMessage[] = [{ role: "user", content: "What is it like in Paris?" }];

type Calls = readonly { id: string; function: { name: string; arguments: string } }[];

/** What is wrong with the calls. */
const wrong = (calls: Calls): string[] =>
  calls.flatMap(({ function: { name, arguments: json } }) =>
    VALID.get(name)?.(JSON.parse(json)) ? [] : [`${name} ${json}`],
  );

/** All of a stream, as the whole answer would have it. */
async function streamed(engine: Engine, request: object) {
  const stream = await engine.chat.completions.create({
    messages: ASKED,
    ...request,
    stream: true,
  });
  let [content, finish] = ["", ""];
  const calls: { id: string; type: string; function: { name: string; arguments: string } }[] = [];
  const fragments: string[] = [];
  for await (const { choices } of stream) {
    const { delta, finish_reason } = choices[0]!;
    content += delta.content ?? "";
    finish = finish_reason ?? finish;
    for (const { index, id, type, function: part } of delta.tool_calls ?? []) {
      if (id !== undefined) {
        expect(index).toBe(calls.length);
        calls.push({ id, type: type!, function: { name: part!.name!, arguments: "" } });
      } else expect(part?.name).toBeUndefined();
      calls[index]!.function.arguments += part?.arguments ?? "";
      if (part?.arguments) fragments.push(part.arguments);
    }
  }
  return { content, finish, calls, fragments };
}

const SEEDS = 5;

/** Seconds each; what writes a list of JSON behind a mark differs from these in data alone (unit/api/tools has them). */
const LISTS: readonly string[] = ["granite", "phi", "mistral", "mistral-list"];
const NAMES = (Object.keys(TOOL_TEXTS) as (keyof typeof TOOL_TEXTS)[]).filter(
  (name) => !LISTS.includes(name),
);

describe.each(NAMES)("%s", (name) => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-tools-"));
  let engine: Engine;
  beforeAll(async () => {
    const model = join(folder, "tiny.gguf");
    writeFileSync(model, tinyGguf("f32", TINY_MODELS.f32, 8192, TOOL_TEXTS[name]));
    engine = await createEngine({ model });
  });
  beforeEach(() => engine.cache.reset());
  afterAll(async () => {
    await engine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("a model of random weights calls tools that are there, with arguments that fit, whole and streamed", async () => {
    const called = new Set<string>();
    for (let seed = 0; seed < SEEDS; seed += 1) {
      const request = { tools: TOOLS, tool_choice: "required", temperature: 1, seed } as const;
      const { content, finish, calls } = await streamed(engine, request);
      expect([content, finish]).toEqual(["", "tool_calls"]);
      expect(calls.length).toBeGreaterThan(0);
      expect(wrong(calls)).toEqual([]);
      for (const call of calls) called.add(call.function.name);
      if (seed > 0) continue;
      await engine.cache.reset();
      const whole = await engine.chat.completions.create({ messages: ASKED, ...request });
      const { message, finish_reason } = whole.choices[0];
      expect([message.content || "", finish_reason]).toEqual(["", "tool_calls"]);
      expect(message.tool_calls?.map((call) => call.function)).toEqual(
        calls.map((call) => call.function),
      );
    }
    expect(called.size).toBeGreaterThan(1);
  });

  it("one tool, one call; none; and a chat that goes on with results", async () => {
    const one = await streamed(engine, {
      tools: TOOLS,
      tool_choice: { type: "function", function: { name: "get_weather" } },
      parallel_tool_calls: false,
      temperature: 1,
      seed: 5,
    });
    expect(one.calls.map((call) => call.function.name)).toEqual(["get_weather"]);
    const none = await streamed(engine, {
      tools: TOOLS,
      tool_choice: "none",
      temperature: 1,
      seed: 5,
      max_tokens: 30,
    });
    expect(none.calls).toEqual([]);
    const [call] = one.calls;
    const messages: ChatMessage[] = [
      ...ASKED,
      { role: "assistant", content: null, tool_calls: [call!] },
      { role: "tool", tool_call_id: call!.id, content: '{"sky": "clear"}' },
    ];
    const asked = { messages, tools: TOOLS, temperature: 0, max_tokens: 8 };
    const { usage, choices } = await engine.chat.completions.create(asked);
    expect(["stop", "length", "tool_calls"]).toContain(choices[0].finish_reason);
    // The tools and the question are not read again, and mostly the call is not.
    const first = await engine.chat.completions.create(
      { ...asked, messages: ASKED },
      { conversation: "b" },
    );
    expect(usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(
      0.9 * first.usage.prompt_tokens,
    );
  });

  it("a call that max_tokens cuts short ends by length, and is told as far as it came", async () => {
    const request = {
      tools: TOOLS.slice(2),
      tool_choice: "required",
      temperature: 1,
      seed: 1,
    } as const;
    const full = await streamed(engine, request);
    for (const max_tokens of [3, 12]) {
      await engine.cache.reset();
      const { finish, calls, content } = await streamed(engine, { ...request, max_tokens });
      expect([finish, content]).toEqual(["length", ""]);
      calls.forEach(({ function: { name, arguments: json } }, i) => {
        expect(name).toBe(full.calls[i]!.function.name);
        expect(full.calls[i]!.function.arguments.startsWith(json)).toBe(true);
      });
    }
  });
});
