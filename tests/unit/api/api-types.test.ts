import type OpenAI from "openai";
import { describe, expectTypeOf, it } from "vitest";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  Engine,
  ResponseFormat,
  ToolCall,
  ToolCallDelta,
  ToolChoice,
  Usage,
} from "../../../src/api/types.ts";

/** What code that is written for OpenAI's client uses of it. */
interface ClientOfOpenAi {
  chat: {
    completions: {
      create(
        body: OpenAI.ChatCompletionCreateParamsNonStreaming,
        options?: { signal?: AbortSignal | null; maxRetries?: number },
      ): Promise<OpenAI.ChatCompletion>;
      create(
        body: OpenAI.ChatCompletionCreateParamsStreaming,
        options?: { signal?: AbortSignal | null; maxRetries?: number },
      ): Promise<AsyncIterable<OpenAI.ChatCompletionChunk>>;
      create(
        body: OpenAI.ChatCompletionCreateParams,
      ): Promise<AsyncIterable<OpenAI.ChatCompletionChunk> | OpenAI.ChatCompletion>;
    };
  };
}

/** Calls as apps write them: they need only compile. */
async function calls(engine: Engine, history: OpenAI.ChatCompletionMessageParam[]): Promise<void> {
  const { completions } = engine.chat;
  const whole: OpenAI.ChatCompletionCreateParamsNonStreaming = { model: "m", messages: history };
  const streamed: OpenAI.ChatCompletionCreateParamsStreaming = { ...whole, stream: true };
  const either: OpenAI.ChatCompletionCreateParams = Math.random() > 0.5 ? whole : streamed;
  expectTypeOf(await completions.create(whole)).toEqualTypeOf<ChatCompletion>();
  const stream = await completions.create(streamed);
  expectTypeOf(stream).toEqualTypeOf<AsyncIterable<ChatCompletionChunk>>();
  expectTypeOf(await completions.create(either)).toEqualTypeOf<
    AsyncIterable<ChatCompletionChunk> | ChatCompletion
  >();
  const flag: boolean = Math.random() > 0.5;
  expectTypeOf(await completions.create({ messages: history, stream: flag })).toEqualTypeOf<
    AsyncIterable<ChatCompletionChunk> | ChatCompletion
  >();
  const answer = await completions.create({
    messages: [
      { role: "developer", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "Hello" }], name: "Ann" },
      { role: "assistant", content: null },
    ],
    max_completion_tokens: 20,
    seed: -1,
    stop: null,
    temperature: undefined,
    tools: [
      {
        type: "function",
        function: { name: "now", description: "Tells the time.", parameters: { type: "object" } },
      },
      { name: "page", inputSchema: { type: "object" }, execute: async () => "" },
    ],
    tool_choice: { type: "function", function: { name: "now" } },
    parallel_tool_calls: false,
    logit_bias: {},
    response_format: {
      type: "json_schema",
      json_schema: { name: "n", strict: true, schema: { type: "object" } },
    },
    user: "u",
    store: false,
  });
  history.push(answer.choices[0].message);
  for (const call of answer.choices[0].message.tool_calls ?? [])
    history.push({ role: "tool", tool_call_id: call.id, content: call.function.arguments });
  const own: ChatMessage[] = [answer.choices[0].message];
  await completions.create({ messages: own, stream: false }, { signal: null });
  const client: ClientOfOpenAi = engine;
  await client.chat.completions.create(whole);
}

// The type checker decides these (npm run check); at run time they do nothing.
describe("types", () => {
  it("answers are OpenAI's: code written for theirs takes ours", () => {
    expectTypeOf<ChatCompletion>().toExtend<OpenAI.ChatCompletion>();
    expectTypeOf<ChatCompletionChunk>().toExtend<OpenAI.ChatCompletionChunk>();
    expectTypeOf<Usage>().toExtend<OpenAI.CompletionUsage>();
    expectTypeOf<ToolCall>().toExtend<OpenAI.ChatCompletionMessageToolCall>();
    expectTypeOf<ToolCallDelta>().toExtend<OpenAI.ChatCompletionChunk.Choice.Delta.ToolCall>();
  });

  it("requests typed by the openai package are ours", () => {
    expectTypeOf<OpenAI.ChatCompletionCreateParams>().toExtend<ChatCompletionRequest>();
    expectTypeOf<OpenAI.ChatCompletionMessageParam>().toExtend<ChatMessage>();
    type Tools = NonNullable<OpenAI.ChatCompletionCreateParams["tools"]>;
    expectTypeOf<Tools>().toExtend<NonNullable<ChatCompletionRequest["tools"]>>();
    expectTypeOf<OpenAI.ChatCompletionToolChoiceOption>().toExtend<ToolChoice>();
    type Formats = NonNullable<OpenAI.ChatCompletionCreateParams["response_format"]>;
    expectTypeOf<Formats>().toExtend<ResponseFormat>();
    expectTypeOf<Exclude<ResponseFormat, { type: "regex" | "grammar" }>>().toExtend<Formats>();
    type Theirs = keyof OpenAI.ChatCompletionCreateParamsStreaming;
    expectTypeOf<Theirs>().toExtend<keyof ChatCompletionRequest>();
  });

  it("an engine is a client of OpenAI's by its shape", () => {
    expectTypeOf<Engine>().toExtend<ClientOfOpenAi>();
    expectTypeOf(calls).toBeFunction();
  });
});
