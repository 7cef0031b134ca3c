import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { type Running, serve } from "./serve-process.ts";

const ask = (content: string) => [{ role: "user" as const, content }];

describe("winnow serve", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-serve-"));
  const model = join(folder, "tiny.gguf");
  beforeAll(() => writeFileSync(model, tinyModel("f32")));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(["SIGTERM", "SIGINT"] as const)(
    "ends well at %s, in the middle of an answer too",
    async (signal) => {
      const { child, ended, url, model: name } = await serve(model, "--policy", "k-norm");
      const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
      const messages = ask("abc");
      const stream = await client.chat.completions.create({
        model: name,
        messages,
        stream: true,
        max_tokens: 1_000_000,
      });
      let failure: unknown;
      try {
        for await (const _ of stream) if (!child.killed) child.kill(signal);
      } catch (error) {
        failure = error;
      }
      // Either it had come to its end, or it is said why it does not.
      if (failure !== undefined) expect(failure).toMatchObject({ code: "stopping" });
      expect(await ended).toMatchObject({ status: 0 });
      await expect(fetch(`${url}/models`)).rejects.toThrow();
    },
  );

  it("answers several chats at once as it answers each alone, and reads a chat's next turn from its cache", async () => {
    const { child, ended, url } = await serve(model, "--policy", "k-norm");
    const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
    const answer = async (messages: OpenAI.ChatCompletionMessageParam[]) => {
      const request = { model: "tiny.gguf", messages, max_tokens: 12, temperature: 0 };
      const { choices, usage } = await client.chat.completions.create(request);
      return { text: choices[0]?.message.content ?? "", usage };
    };
    const questions = ["abc", "the fox", "a dog", "over and", "lazy", "quick"];
    const alone: string[] = [];
    for (const question of questions) alone.push((await answer(ask(question))).text);
    const together = await Promise.all(questions.map((question) => answer(ask(question))));
    expect(together.map(({ text }) => text)).toEqual(alone);
    const said = { role: "assistant" as const, content: alone[0]! };
    const next = await answer([...ask("abc"), said, ...ask("more")]);
    expect(next.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(0);
    child.kill("SIGTERM");
    expect(await ended).toMatchObject({ status: 0 });
  });

  it("refuses an address that others can reach without a key, and flags that are wrong, before it loads", async () => {
    const run = (...args: string[]) => serve(model, ...args).then(() => "", String);
    expect(await run("--host", "0.0.0.0")).toMatch(/with 1: winnow: --host: .*--key/);
    expect(await run("--cors", "example.com")).toMatch(/winnow: --cors: must be/);
    expect(await run("--parallel", "0")).toMatch(/winnow: --parallel: must be/);
  });

  describe("SmolLM2", () => {
    let running: Running;
    const question = ask("What is the capital of France? Answer in one word.");
    beforeAll(async () => {
      running = await serve(process.env.WINNOW_MODEL!, "--key", "secret");
    });
    afterAll(async () => {
      running.child.kill("SIGTERM");
      expect(await running.ended).toMatchObject({ status: 0 });
    });

    it("answers the openai client: whole, streamed, and stopped", async () => {
      const client = new OpenAI({ baseURL: running.url, apiKey: "secret", maxRetries: 0 });
      const request = { model: running.model, messages: question, temperature: 0, max_tokens: 12 };
      const whole = await client.chat.completions.create(request);
      const text = whole.choices[0]?.message.content ?? "";
      expect(text).toContain("Paris");
      let streamed = "";
      for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
        streamed += chunk.choices[0]?.delta.content ?? "";
      expect(streamed).toBe(text);
      const long = await client.chat.completions.create({
        ...request,
        messages: ask("Tell a long story."),
        max_tokens: 2000,
        stream: true,
      });
      for await (const _ of long) break;
      const models = await client.models.list();
      expect(models.data.map(({ id }) => id)).toEqual([running.model]);
      await expect(
        new OpenAI({ baseURL: running.url, apiKey: "no", maxRetries: 0 }).models.list(),
      ).rejects.toMatchObject({ status: 401 });
    });

    it("answers AI SDK's openai-compatible provider: whole, streamed, with usage", async () => {
      const provider = createOpenAICompatible({
        name: "winnow",
        baseURL: running.url,
        apiKey: "secret",
        includeUsage: true,
      });
      const prompt = {
        model: provider(running.model),
        messages: question,
        temperature: 0,
        maxOutputTokens: 12,
      };
      const { text, finishReason, usage } = await generateText(prompt);
      expect(text).toContain("Paris");
      expect(finishReason).toMatch(/stop|length/);
      expect(usage.outputTokens).toBeGreaterThan(0);
      const result = streamText(prompt);
      let streamed = "";
      for await (const piece of result.textStream) streamed += piece;
      expect(streamed).toBe(text);
      expect((await result.usage).outputTokens).toBe(usage.outputTokens);
    });
  });
});
