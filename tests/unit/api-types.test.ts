import type OpenAI from "openai";
import { describe, expectTypeOf, it } from "vitest";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Usage,
} from "../../src/api/types.ts";

// The type checker decides these (npm run check); at run time they do nothing.
describe("types", () => {
  it("answers are OpenAI's: code written for theirs takes ours", () => {
    expectTypeOf<ChatCompletion>().toExtend<OpenAI.ChatCompletion>();
    expectTypeOf<ChatCompletionChunk>().toExtend<OpenAI.ChatCompletionChunk>();
    expectTypeOf<Usage>().toExtend<OpenAI.CompletionUsage>();
  });

  it("a request's fields mean what OpenAI's mean", () => {
    type Theirs = OpenAI.ChatCompletionCreateParams;
    type Shared = Omit<
      ChatCompletionRequest,
      "messages" | "top_k" | "min_p" | "repetition_penalty" | "speculative" | "stream"
    >;
    expectTypeOf<Shared>().toExtend<Partial<Omit<Theirs, "messages" | "stream">>>();
    type Plain = Extract<OpenAI.ChatCompletionMessageParam, { role: "system" | "user" }>["role"];
    expectTypeOf<Plain>().toExtend<ChatCompletionRequest["messages"][number]["role"]>();
  });
});
