import type OpenAI from "openai";
import { describe, expect, expectTypeOf, it } from "vitest";
import type { ModelObject, TextCompletion, TextCompletionRequest } from "../../../src/api/types.ts";
import { seedOf } from "../../../src/api/worker/choices.ts";
import { openFake } from "./api-fake-engine.ts";

const messages = [{ role: "user" as const, content: "hi" }];

describe("several answers to one prompt", () => {
  it("come with their index, after the prompt was read once", async () => {
    const { engine, fake } = await openFake();
    const { choices, usage } = await engine.chat.completions.create({ messages, n: 3 });
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    for (const { message } of choices) expect(message.content).toBe("hello");
    expect(usage).toMatchObject({ completion_tokens: 15, prompt_tokens: 19, total_tokens: 34 });
    expect(usage.prompt_tokens_details.cached_tokens).toBe(0);
    expect(fake.log.filter((line) => line.startsWith("reset"))).toHaveLength(2);
    // The chat goes on with the first of them.
    const history = [...messages, choices[0].message, ...messages];
    await engine.chat.completions.create({ messages: history, n: 1 });
    expect(fake.forks).toBe(2);
  });

  it("stream side by side, and end each with its reason, the usage last", async () => {
    const { engine } = await openFake();
    const stream = await engine.chat.completions.create({ messages, n: 2, stream: true });
    const texts = ["", ""];
    const ends: unknown[] = [];
    for await (const { choices, usage } of stream) {
      const [{ index, delta, finish_reason: reason }] = choices;
      texts[index] += delta.content ?? "";
      if (reason) ends.push([index, reason, usage?.completion_tokens]);
    }
    expect(texts).toEqual(["hello", "hello"]);
    expect(ends).toEqual([
      [0, "stop", undefined],
      [1, "stop", 10],
    ]);
  });

  it("an abort ends all of them and frees the copies; the chat stays usable", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "x".repeat(500);
    const controller = new AbortController();
    const asked = engine.chat.completions.create({ messages, n: 3 }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 30);
    await expect(asked).rejects.toMatchObject({ code: "aborted" });
    expect(fake.log.filter((line) => line.startsWith("left"))).toHaveLength(3);
    expect(fake.log.filter((line) => line.startsWith("reset"))).toHaveLength(2);
    fake.answer = "ok";
    const { choices } = await engine.chat.completions.create({ messages });
    expect(choices[0].message.content).toBe("ok");
  });

  it("an error of one ends the others, and is told", async () => {
    const { engine, fake } = await openFake();
    fake.failure = new Error("broken");
    const asked = engine.chat.completions.create({ messages, n: 2 });
    await expect(asked).rejects.toMatchObject({ message: expect.stringContaining("broken") });
    expect(fake.log.filter((line) => line.startsWith("reset"))).toHaveLength(1);
  });

  it("their seeds follow from the request's, and differ", () => {
    expect(seedOf(7, 0)).toBe(7);
    const seeds = [0, 1, 2 ** 53 - 1].flatMap((seed) => [0, 1, 7].map((i) => seedOf(seed, i)));
    expect(new Set(seeds).size).toBe(9);
    for (const seed of seeds) expect(Number.isSafeInteger(seed)).toBe(true);
  });
});

describe("texts that are continued", () => {
  it("come in OpenAI's shape", async () => {
    const { engine } = await openFake();
    const text = await engine.completions.create({ prompt: "Once", max_tokens: 4, model: "m" });
    expect(text).toMatchObject({
      object: "text_completion",
      model: "m",
      choices: [{ index: 0, text: "hell", finish_reason: "length", logprobs: null }],
      usage: { prompt_tokens: 4, completion_tokens: 4 },
    });
    expect(text.id).toMatch(/^cmpl-/);
  });

  it("take token ids and a list of one text, and no more than 16 tokens by default", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "x".repeat(40);
    for (const prompt of [[79, 110], ["On"], [[79, 110]]]) {
      const { usage } = await engine.completions.create({ prompt });
      expect(usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 16 });
    }
  });

  it("stream, end at stop strings, and tell log probabilities in the older shape", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "ab. cd";
    const request = { prompt: "x", stop: ".", logprobs: 1, stream: true } as const;
    const pieces: TextCompletion[] = [];
    for await (const piece of await engine.completions.create(request)) pieces.push(piece);
    expect(pieces.map(({ choices }) => choices[0].text).join("")).toBe("ab");
    const logprobs = pieces.flatMap(({ choices }) => choices[0].logprobs ?? []);
    expect(logprobs.flatMap(({ tokens }) => tokens)).toEqual(["a", "b"]);
    expect(logprobs.flatMap(({ text_offset: offset }) => offset)).toEqual([0, 1]);
    expect(logprobs[0]).toMatchObject({ token_logprobs: [-0.5], top_logprobs: [{ a: -0.5 }] });
    expect(pieces.at(-1)).toMatchObject({
      choices: [{ text: "", finish_reason: "stop" }],
      usage: { prompt_tokens: 1 },
    });
  });

  it("several prompts are continued one after the other, each behind itself where echo asks for it", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "ab";
    const request = { prompt: ["one ", "three "], n: 2, echo: true } as const;
    const { choices, usage } = await engine.completions.create(request);
    expect(choices.map(({ index, text }) => [index, text])).toEqual([
      [0, "one ab"],
      [1, "one ab"],
      [2, "three ab"],
      [3, "three ab"],
    ]);
    expect(usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 8 });
    const texts: string[] = [];
    for await (const { choices } of await engine.completions.create({ ...request, stream: true }))
      texts[choices[0].index] = (texts[choices[0].index] ?? "") + choices[0].text;
    expect(texts).toEqual(choices.map(({ text }) => text));
    const ids = await engine.completions.create({ prompt: [[1], [2]] });
    expect(ids.choices.map(({ text }) => text)).toEqual(["ab", "ab"]);
  });

  it.each<[string, object]>([
    ["echo", { echo: true, logprobs: 1 }],
    ["echo", { echo: true, prompt: [1, 2] }],
    ["suffix", { suffix: "end" }],
    ["best_of", { best_of: 2 }],
    ["logprobs", { logprobs: true }],
    ["prompt", { prompt: ["a", 1] }],
    ["prompt", { prompt: [] }],
    ["prompt", { prompt: [1.5] }],
    ["prompt", { prompt: null }],
    ["messages", { messages }],
    ["temperature", { temperature: 9 }],
  ])("%s that cannot be followed is refused by name", async (name, more) => {
    const { engine } = await openFake();
    const asked = engine.completions.create({ prompt: "a", ...more } as TextCompletionRequest);
    await expect(asked).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining(name),
    });
  });

  it("types are OpenAI's", () => {
    expectTypeOf<TextCompletion>().toExtend<OpenAI.Completion>();
    expectTypeOf<OpenAI.CompletionCreateParams>().toExtend<TextCompletionRequest>();
    expectTypeOf<ModelObject>().toExtend<OpenAI.Model>();
  });
});

it("the models are the one that is loaded, to be awaited or gone through", async () => {
  const { engine } = await openFake();
  const page = await engine.models.list();
  expect(page).toMatchObject({
    object: "list",
    data: [{ id: "fake", object: "model", owned_by: "winnow" }],
  });
  const ids: string[] = [];
  for await (const { id } of engine.models.list()) ids.push(id);
  for await (const { id } of page) ids.push(id);
  expect(ids).toEqual(["fake", "fake"]);
});
