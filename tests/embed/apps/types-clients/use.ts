import {
  generateText,
  type LanguageModel,
  type Provider,
  ToolLoopAgent,
  wrapLanguageModel,
} from "ai";
import type OpenAI from "openai";
import type { ChatCompletion, ChatCompletionRequest, Engine } from "winnow-llm";
import { createWinnow, type LanguageModelV4, winnow } from "winnow-llm/ai-sdk";
import * as node from "winnow-llm/node";
import { defineLanguageModel, polyfill } from "winnow-llm/prompt-api";
import "winnow-llm/prompt-api/polyfill";

/** The AI SDK's types take ours, and ours take the AI SDK's. */
export async function withAiSdk(engine: Engine, other: LanguageModel): Promise<LanguageModelV4> {
  const model: LanguageModel = winnow("smollm2-135m-instruct", { cache: { budget: 512 } });
  const provider: Provider = createWinnow({ from: node });
  const { text } = await generateText({ model: winnow(engine), prompt: "Hi" });
  const agent = new ToolLoopAgent({ model, instructions: text });
  await agent.generate({ prompt: "Hi" });
  const ours: LanguageModelV4 = winnow("a");
  const wrapped: LanguageModelV4 = wrapLanguageModel({ model: ours, middleware: [] });
  const either: LanguageModel = typeof other === "string" ? provider.languageModel(other) : other;
  console.log(typeof either);
  return wrapped;
}

/** OpenAI's types take our answers, and our requests take OpenAI's. */
export async function withOpenAi(
  engine: Engine,
  params: OpenAI.ChatCompletionCreateParamsNonStreaming,
): Promise<OpenAI.ChatCompletion> {
  const request: ChatCompletionRequest = params;
  const answer: ChatCompletion = await engine.chat.completions.create({
    ...request,
    stream: false,
  });
  const theirs: OpenAI.ChatCompletion = answer;
  params.messages.push(theirs.choices[0]!.message);
  const stream = await engine.chat.completions.create({ ...params, stream: true });
  for await (const chunk of stream) {
    const piece: OpenAI.ChatCompletionChunk = chunk;
    console.log(piece.id);
  }
  return theirs;
}

/** The Prompt API. */
export async function withPromptApi(engine: Engine): Promise<string> {
  const { create } = polyfill({ model: engine });
  const session = await create({ initialPrompts: [{ role: "system", content: "Be brief." }] });
  const other: typeof session = await (await defineLanguageModel().create()).clone();
  other.destroy();
  return session.prompt("Hi", { responseConstraint: /yes|no/ });
}
