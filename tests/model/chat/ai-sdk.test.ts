import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateText, isStepCount, jsonSchema, Output, streamText, tool } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createWinnow, type WinnowLanguageModel } from "../../../src/ai-sdk.ts";
import * as node from "../../../src/node.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";

/** The AI SDK's own functions over a tiny model of random weights: what the scripts of tests/unit cannot show. */
describe("winnow-llm/ai-sdk in Node", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-ai-sdk-"));
  let model: WinnowLanguageModel;
  beforeAll(() => {
    const path = join(folder, "tiny.gguf");
    writeFileSync(path, tinyModel("f32"));
    const cache = { budget: 64, policy: "k-norm" as const, window: 16, sinks: 2 };
    model = createWinnow({ from: node, cache })(path);
  });
  afterAll(async () => {
    await model?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("streams what a whole answer says, and the next turn is found in the cache after evictions", async () => {
    const prompt =
      "A message that is longer than the budget, so that something is dropped. ".repeat(4);
    const settings = { model, temperature: 0, maxOutputTokens: 3 };
    const whole = await generateText({ ...settings, prompt });
    expect(whole.finishReason).toBe("length");
    expect(whole.usage.inputTokens).toBeGreaterThan(64);
    const messages = [
      { role: "user" as const, content: prompt },
      ...whole.responseMessages,
      { role: "user" as const, content: "two" },
    ];
    const second = streamText({ ...settings, messages });
    await second.consumeStream();
    const { inputTokens, inputTokenDetails } = await second.usage;
    expect(inputTokenDetails.cacheReadTokens).toBeGreaterThan(whole.usage.inputTokens! - 1);
    expect(inputTokenDetails.noCacheTokens).toBe(inputTokens! - inputTokenDetails.cacheReadTokens!);
    // Another chat in between takes nothing from it.
    await generateText({ ...settings, prompt: "other" });
    const again = streamText({ ...settings, messages });
    expect(await again.text).toBe(await second.text);
    expect((await again.usage).inputTokenDetails.cacheReadTokens).toBeGreaterThan(64);
    const { conversation } = (await again.providerMetadata)!.winnow as { conversation: string };
    const usage = (await model.engine()).cache.usage({ conversation });
    expect(usage.pairsEvicted).toBeGreaterThan(0);
  });

  it("gives an object of a schema, from weights that know nothing", async () => {
    const schema = jsonSchema<{ name: string; age: number }>({
      type: "object",
      properties: {
        name: { enum: ["Ann", "Bo"] },
        age: { type: "integer", minimum: 0, maximum: 120 },
      },
      required: ["name", "age"],
      additionalProperties: false,
    });
    const { output } = await generateText({
      model,
      prompt: "Who?",
      temperature: 1,
      seed: 1,
      output: Output.object({ schema }),
    });
    expect(output).toEqual({ name: expect.stringMatching(/^(Ann|Bo)$/), age: expect.any(Number) });
  });

  it("runs a loop of three steps with a tool, each call as its schema says", async () => {
    const towns: string[] = [];
    const weather = tool({
      description: "The weather of a town",
      inputSchema: jsonSchema<{ town: string }>({
        type: "object",
        properties: { town: { enum: ["Oslo", "Rome"] } },
        required: ["town"],
        additionalProperties: false,
      }),
      execute: async ({ town }) => {
        towns.push(town);
        return { degrees: 7 };
      },
    });
    const { steps } = await generateText({
      model,
      prompt: "Weather?",
      tools: { weather },
      toolChoice: "required",
      stopWhen: isStepCount(3),
      seed: 1,
    });
    expect(steps.map(({ finishReason }) => finishReason)).toEqual(Array(3).fill("tool-calls"));
    expect(towns.length).toBeGreaterThanOrEqual(3);
    for (const town of towns) expect(town).toMatch(/^(Oslo|Rome)$/);
    // What the first step read is in the cache of the second.
    expect(steps[1]!.usage.inputTokenDetails.cacheReadTokens).toBeGreaterThan(20);
  });

  it("stops within a token of an abort", async () => {
    const control = new AbortController();
    const result = streamText({
      model,
      prompt: "go on",
      maxOutputTokens: 200,
      abortSignal: control.signal,
    });
    let pieces = 0;
    const kinds: string[] = [];
    for await (const part of result.fullStream) {
      kinds.push(part.type);
      if (part.type === "text-delta" && ++pieces === 2) control.abort();
    }
    expect(kinds.at(-1)).toBe("abort");
    expect((await model.engine()).cache.usage().tokensSeen).toBeLessThan(100);
  });

  it("says what the engine refuses: a schema that cannot be followed, a number out of range", async () => {
    const refused = generateText({ model, prompt: "Hi", temperature: 9 });
    await expect(refused).rejects.toMatchObject({ code: "invalid_argument" });
    const errors: unknown[] = [];
    const result = streamText({
      model,
      prompt: "Hi",
      topP: 7,
      onError: ({ error }) => void errors.push(error),
    });
    await result.consumeStream();
    expect(errors).toEqual([expect.objectContaining({ code: "invalid_argument" })]);
  });
});
