import { generateText, jsonSchema, Output, streamText, tool } from "ai";
import { Ajv2020 } from "ajv/dist/2020.js";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createWinnow, type WinnowLanguageModel } from "../../../src/ai-sdk.ts";
import { ModelServer } from "../../../src/cli/serve/server.ts";
import * as node from "../../../src/node.ts";

const WEATHER = {
  name: "get_weather",
  description: "Tells the weather of a city.",
  parameters: {
    type: "object",
    properties: { city: { type: "string", maxLength: 20 } },
    required: ["city"],
    additionalProperties: false,
  },
} as const;
const tools = [{ type: "function" as const, function: WEATHER }];
const inParis = { city: expect.stringContaining("Paris") };
const ASKED = "What is the weather in Paris?";
const ask = (content: string) => [{ role: "user" as const, content }];

const ANIMAL = {
  type: "object",
  properties: {
    animal: { type: "string", minLength: 2, maxLength: 12 },
    legs: { type: "integer", minimum: 0, maximum: 8 },
    tame: { type: "boolean" },
  },
  required: ["animal", "legs", "tame"],
  additionalProperties: false,
} as const;
const isAnimal = new Ajv2020().compile(ANIMAL);
const ABOUT = "Describe a dog as JSON.";

describe("the clients that apps use, on SmolLM2", () => {
  let model: WinnowLanguageModel;
  let engine: node.Engine;
  let server: ModelServer;
  let client: OpenAI;
  beforeAll(async () => {
    const path = process.env.WINNOW_MODEL ?? ".cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    model = createWinnow({ from: node })(path);
    engine = await model.engine();
    server = await ModelServer.open(engine, {
      host: "127.0.0.1",
      port: 0,
      origins: [],
      parallel: 2,
      conversations: 4,
      waiting: 4,
      bodyLimit: 100_000,
      timeoutMs: 600_000,
      stallMs: 30_000,
      report: (line) => expect.fail(line),
    });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
    request.model = (await client.models.list()).data[0]!.id;
  });
  afterAll(async () => {
    await server?.stop(0);
    await model?.close();
  });

  const request = { model: "", temperature: 0, max_tokens: 40 };

  it("asked by the openai package through the server: a call, its result and an answer, nothing read twice", async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = ask(ASKED);
    const first = await client.chat.completions.create({
      messages,
      ...request,
      tools,
      tool_choice: "required",
      parallel_tool_calls: false,
    });
    const { message, finish_reason } = first.choices[0]!;
    expect([message.content, finish_reason]).toEqual(["", "tool_calls"]);
    const [call] = message.tool_calls!;
    if (call?.type !== "function") expect.fail(call?.type);
    expect(call.function.name).toBe("get_weather");
    expect(JSON.parse(call.function.arguments)).toEqual(inParis);
    const content = "It is sunny, 21 degrees.";
    messages.push(message, { role: "tool", tool_call_id: call.id, content });
    const told = { messages, ...request, tools, tool_choice: "none" } as const;
    const second = await client.chat.completions.create(told);
    expect(second.choices[0]!.message.content).toMatch(/sunny|21/);
    const { cached_tokens: cached } = second.usage!.prompt_tokens_details!;
    expect(cached).toBeGreaterThan(first.usage!.prompt_tokens);
  });

  it("asked by the openai package through the server: a stream that fits a schema", async () => {
    const format = { name: "animal", strict: true, schema: ANIMAL };
    const stream = client.chat.completions.stream({
      messages: ask(ABOUT),
      ...request,
      response_format: { type: "json_schema", json_schema: format },
    });
    let streamed = "";
    stream.on("content", (piece) => {
      streamed += piece;
    });
    const { content } = (await stream.finalChatCompletion()).choices[0]!.message;
    expect(streamed).toBe(content);
    expect(isAnimal(JSON.parse(streamed)), streamed).toBe(true);
  });

  it("asked by the AI SDK in this process: an object, a call, and a stream of text", async () => {
    const settings = { model, temperature: 0, maxOutputTokens: 40 };
    const output = Output.object({ schema: jsonSchema<object>(ANIMAL) });
    const described = await generateText({ ...settings, prompt: ABOUT, output });
    expect(isAnimal(described.output), described.text).toBe(true);
    const { description, parameters } = WEATHER;
    const weather = tool({
      description,
      inputSchema: jsonSchema<{ city: string }>(parameters),
      execute: async () => "It is sunny.",
    });
    const called = await generateText({
      ...settings,
      prompt: ASKED,
      tools: { get_weather: weather },
      toolChoice: "required",
    });
    expect(called.finishReason).toBe("tool-calls");
    expect(called.toolCalls[0]).toMatchObject({ toolName: "get_weather", input: inParis });
    const pieces: string[] = [];
    const spoken = streamText({ ...settings, prompt: "What is the capital of France?" });
    for await (const piece of spoken.textStream) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join("")).toContain("Paris");
  });
});
