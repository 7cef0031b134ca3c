import { expect, it } from "vitest";
import type { TokenLogprob } from "../../../src/api/types.ts";
import { drawWishes } from "../../../src/api/worker/answer/logits.ts";
import { byteTokenizer, openFake } from "./api-fake-engine.ts";

const messages = [{ role: "user" as const, content: "hi" }];
const textOf = (logprobs: readonly TokenLogprob[]): string =>
  new TextDecoder().decode(Uint8Array.from(logprobs.flatMap(({ bytes }) => bytes ?? [])));

it("a whole answer has them in OpenAI's shape, one per token", async () => {
  const { engine } = await openFake();
  const request = { messages, logprobs: true, top_logprobs: 2, max_tokens: 2 };
  const { choices } = await engine.chat.completions.create(request);
  const likely = (token: string, byte: number) => ({
    token,
    logprob: -0.5,
    bytes: [byte],
    top_logprobs: [
      { token, logprob: -0.5, bytes: [byte] },
      { token: "A", logprob: -1.5, bytes: [65] },
    ],
  });
  expect(choices[0].logprobs).toEqual({
    content: [likely("h", 104), likely("e", 101)],
    refusal: null,
  });
  const plain = await engine.chat.completions.create({ messages });
  expect(plain.choices[0].logprobs).toBeNull();
});

it("a stream has those of each chunk's content, also of characters of several tokens", async () => {
  const { engine, fake } = await openFake();
  fake.answer = "a😀b";
  const request = { messages, logprobs: true, stream: true } as const;
  let count = 0;
  for await (const { choices } of await engine.chat.completions.create(request)) {
    const [{ delta, logprobs }] = choices;
    expect(delta).not.toHaveProperty("logprobs");
    expect(textOf(logprobs?.content ?? [])).toBe(delta.content ?? "");
    count += logprobs?.content.length ?? 0;
    for (const { top_logprobs: top } of logprobs?.content ?? []) expect(top).toEqual([]);
  }
  expect(count).toBe(6);
});

it("tokens that a stop string takes away have none, nor have thoughts", async () => {
  const { engine, fake } = await openFake();
  fake.answer = "abcENDx";
  const { choices } = await engine.chat.completions.create({
    messages,
    logprobs: true,
    stop: "END",
  });
  expect(textOf(choices[0].logprobs!.content)).toBe("abc");
  Object.assign(fake, { template: { ...fake.template, source: "</think>" } });
  fake.answer = "<think>so</think>yes";
  const thought = await engine.chat.completions.create({ messages, logprobs: true });
  expect(textOf(thought.choices[0].logprobs!.content)).toContain("yes");
  expect(textOf(thought.choices[0].logprobs!.content)).not.toContain("so");
});

it("half a character at the end is told, and control tokens have no bytes", async () => {
  const { engine, fake } = await openFake();
  fake.answer = "a😀";
  const request = { messages, logprobs: true, max_tokens: 3 };
  const { choices } = await engine.chat.completions.create(request);
  expect(choices[0].message.content).toBe("a");
  expect(choices[0].logprobs?.content.map(({ token }) => token)).toEqual(["a", "\ufffd", "\ufffd"]);
});

it("ids that the model does not have are refused by name", async () => {
  const { engine } = await openFake();
  const asked = engine.chat.completions.create({ messages, logit_bias: { 5: 1, 257: -1 } });
  await expect(asked).rejects.toMatchObject({
    code: "invalid_argument",
    message: expect.stringContaining("logit_bias.257"),
  });
  const { logitBias } = drawWishes(byteTokenizer, { logitBias: [[5, 1]] });
  expect(logitBias).toEqual(new Map([[5, 1]]));
});
