import { describe, expect, it, vi } from "vitest";
import { checkEngineOptions } from "../../../src/api/checks/validate-engine.ts";
import { checkRequest } from "../../../src/api/checks/validate-request.ts";
import { EngineClient } from "../../../src/api/page/client.ts";
import type { TokenBatch } from "../../../src/api/protocol.ts";
import type { ChatCompletionChunk, Engine } from "../../../src/api/types.ts";
import { WinnowError } from "../../../src/errors.ts";
import { FakeEngine, openFake, serviceOver } from "./api-fake-engine.ts";

const messages = [{ role: "user" as const, content: "hi" }];
const PROMPT_TOKENS = "<user>hi<assistant>".length;

async function collect(stream: AsyncIterable<ChatCompletionChunk>): Promise<ChatCompletionChunk[]> {
  const chunks: ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks: readonly ChatCompletionChunk[]): string =>
  chunks.map(({ choices }) => choices[0].delta.content ?? "").join("");

describe("chat completions", () => {
  it("answers as a whole, in OpenAI's shape", async () => {
    const { engine } = await openFake();
    const answer = await engine.chat.completions.create({ messages });
    expect(answer).toMatchObject({
      object: "chat.completion",
      model: "fake",
      choices: [
        { index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" },
      ],
      usage: {
        prompt_tokens: PROMPT_TOKENS,
        completion_tokens: 5,
        total_tokens: PROMPT_TOKENS + 5,
        prompt_tokens_details: { cached_tokens: 0 },
      },
    });
    expect(answer.usage.extra.time_to_first_token_s).toBeGreaterThan(0);
    expect(answer.usage.extra.prefill_tokens_per_s).toBeGreaterThan(0);
  });

  it.each([
    ["a plain request", (engine: Engine) => engine.chat.completions.create({ messages })],
    [
      "one whose checks are loaded",
      (engine: Engine) => engine.chat.completions.create({ messages, logprobs: false, user: "me" }),
    ],
    [
      "a streamed one",
      async (engine: Engine) =>
        collect(await engine.chat.completions.create({ messages, stream: true })),
    ],
    ["a text", (engine: Engine) => engine.completions.create({ prompt: "hi" })],
  ])("comes before what is called later: %s", async (_kind, ask) => {
    const { engine, fake } = await openFake();
    const answering = ask(engine);
    const configured = engine.cache.configure({ budget: 64 });
    const another = engine.chat.completions.create({ messages }, { conversation: "b" });
    const reset = engine.cache.reset({ conversation: "default" });
    const refused = engine.chat.completions.create({ messages: [] });
    const last = engine.chat.completions.create({ messages });
    await expect(refused).rejects.toMatchObject({ code: "invalid_argument" });
    await Promise.all([answering, configured, another, reset, last]);
    const begun = fake.log.filter((line) => !line.startsWith("end"));
    expect(begun).toEqual([
      "start default",
      "configure default 64",
      "start b",
      "reset default",
      "start default",
    ]);
    expect(engine.cache.usage({ conversation: "default" }).budget).toBe(64);
  });

  it("counts the tokens of messages without answering", async () => {
    const { engine, fake } = await openFake();
    expect(await engine.countTokens({ messages })).toBe(PROMPT_TOKENS);
    expect(fake.log).toEqual([]);
    const refused = engine.countTokens({ messages: [] });
    await expect(refused).rejects.toMatchObject({ code: "invalid_argument" });
    await engine.close();
    await expect(engine.countTokens({ messages })).rejects.toMatchObject({ code: "closed" });
  });

  it("goes on from the last message where that is asked for", async () => {
    const { engine } = await openFake();
    const { create } = engine.chat.completions;
    const complete = create.bind(engine.chat.completions);
    const begun = [...messages, { role: "assistant" as const, content: "Oh, " }];
    const answer = await complete({ messages: begun, continue_final_message: true, stream: false });
    expect(answer.choices[0].message.content).toBe("hello");
    expect(answer.usage.prompt_tokens).toBe(PROMPT_TOKENS + "Oh, ".length);
    for (const refused of [messages, begun.slice(1)])
      await expect(
        complete({ messages: refused, continue_final_message: true }),
      ).rejects.toMatchObject({ details: { field: "continue_final_message" } });
  });

  it("holds what it goes on from to the format too, together with the answer", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "lo";
    const response_format = { type: "regex" as const, pattern: "hello|help" };
    const complete = (content: string) =>
      engine.chat.completions.create({
        messages: [...messages, { role: "assistant", content }],
        continue_final_message: true,
        response_format,
        stream: false,
      });
    expect((await complete("hel")).choices[0].message.content).toBe("lo");
    await expect(complete("bye")).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining('begins with "bye"'),
    });
  });

  it("streams role, text, then the reason with the usage", async () => {
    const { engine } = await openFake();
    const chunks = await collect(await engine.chat.completions.create({ messages, stream: true }));
    expect(chunks[0]?.choices[0].delta).toEqual({ role: "assistant", content: "" });
    expect(textOf(chunks)).toBe("hello");
    const last = chunks.at(-1)!;
    expect(last.choices[0]).toEqual({ index: 0, delta: {}, finish_reason: "stop" });
    expect(last.usage?.completion_tokens).toBe(5);
    expect(
      chunks
        .slice(0, -1)
        .every(({ usage, choices }) => !usage && choices[0].finish_reason === null),
    ).toBe(true);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it("leaves the usage out when asked to, and echoes the model's name", async () => {
    const { engine } = await openFake();
    const request = {
      messages,
      stream: true,
      stream_options: { include_usage: false },
      model: "mine",
    } as const;
    const chunks = await collect(await engine.chat.completions.create(request));
    expect(chunks.some(({ usage }) => usage !== undefined)).toBe(false);
    expect(chunks[0]?.model).toBe("mine");
  });

  it("stops at max_tokens with reason length", async () => {
    const { engine } = await openFake();
    const answer = await engine.chat.completions.create({ messages, max_tokens: 3 });
    expect(answer.choices[0]).toMatchObject({
      message: { content: "hel" },
      finish_reason: "length",
    });
    expect(answer.usage.completion_tokens).toBe(3);
  });

  it("cuts a stop string out, with what came before it and nothing after", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "one two END three";
    const answer = await engine.chat.completions.create({ messages, stop: ["END", "never"] });
    expect(answer.choices[0]).toMatchObject({
      message: { content: "one two " },
      finish_reason: "stop",
    });
    expect(fake.log).toContain("left default");
  });

  it("never splits a character over chunks", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "a€😀é";
    const chunks = await collect(await engine.chat.completions.create({ messages, stream: true }));
    expect(textOf(chunks)).toBe("a€😀é");
    expect(chunks.some(({ choices }) => choices[0].delta.content?.includes("\ufffd"))).toBe(false);
  });

  it("ends at the marker of the template that no token stands for, and shows none of it", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "hello<|im_end|>\n<|im_start|>user";
    const answer = await engine.chat.completions.create({ messages });
    expect(answer.choices[0]).toMatchObject({
      message: { content: "hello" },
      finish_reason: "stop",
    });
    fake.answer = "a <|im_";
    const { choices } = await engine.chat.completions.create({ messages });
    expect(choices[0].message.content).toBe("a <|im_");
  });

  it.each([1, 2, 3])(
    "ends before a character of which %i bytes came, and next goes on there",
    async (bytes) => {
      const { engine, fake } = await openFake();
      fake.answer = "ok 😀";
      const request = { messages, max_tokens: 3 + bytes };
      const { choices } = await engine.chat.completions.create(request);
      expect(choices[0]).toMatchObject({ message: { content: "ok " }, finish_reason: "length" });
      const stream = await engine.chat.completions.create({ ...request, stream: true });
      expect(textOf(await collect(stream))).toBe("ok ");
    },
  );

  it("counts what the cache held, also where a stop string ends the answer early", async () => {
    const { engine, fake } = await openFake();
    await engine.chat.completions.create({ messages, max_tokens: 1 });
    fake.answer = "x.y";
    const next = [
      ...messages,
      { role: "assistant" as const, content: "h" },
      { role: "user" as const, content: "and?" },
    ];
    const { usage } = await engine.chat.completions.create({ messages: next, stop: "." });
    expect(usage.prompt_tokens_details.cached_tokens).toBe(PROMPT_TOKENS + 1);
  });

  it("refuses a prompt that leaves no room, and clamps an answer that would not fit", async () => {
    const { engine, fake } = await openFake();
    fake.contextLength = PROMPT_TOKENS + 2;
    const short = await engine.chat.completions.create({ messages, max_tokens: 100 });
    expect(short.choices[0]).toMatchObject({ message: { content: "he" }, finish_reason: "length" });
    fake.contextLength = PROMPT_TOKENS;
    await expect(engine.chat.completions.create({ messages })).rejects.toMatchObject({
      code: "context_overflow",
    });
  });
});

describe("stopping", () => {
  it("break leaves the generator within one token, and the conversation answers again", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "a long answer that nobody reads to its end";
    let seen = "";
    for await (const chunk of await engine.chat.completions.create({ messages, stream: true })) {
      seen += chunk.choices[0].delta.content ?? "";
      if (seen.length > 0) break;
    }
    fake.answer = "ok";
    const again = await engine.chat.completions.create({ messages });
    expect(again.choices[0].message.content).toBe("ok");
    expect(fake.log).toEqual(["start default", "left default", "start default", "end default"]);
    expect(engine.cache.usage().tokensSeen).toBe(PROMPT_TOKENS + 2);
  });

  it("an AbortSignal ends a stream with `aborted`", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "x".repeat(500);
    const controller = new AbortController();
    const stream = await engine.chat.completions.create(
      { messages, stream: true },
      { signal: controller.signal },
    );
    const reading = (async () => {
      for await (const chunk of stream) if (chunk.choices[0].delta.content) controller.abort();
    })();
    await expect(reading).rejects.toMatchObject({ code: "aborted" });
    expect(fake.log.at(-1)).toBe("left default");
    expect(engine.cache.usage().tokensSeen).toBeLessThan(PROMPT_TOKENS + 100);
  });

  it("a signal that has fired already starts nothing", async () => {
    const { engine, fake } = await openFake();
    const request = engine.chat.completions.create({ messages }, { signal: AbortSignal.abort() });
    await expect(request).rejects.toMatchObject({ code: "aborted" });
    expect(fake.log).toEqual([]);
  });

  it("a request that still waits in the queue is left at once", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "x".repeat(200);
    const first = engine.chat.completions.create({ messages });
    const controller = new AbortController();
    const second = engine.chat.completions.create({ messages }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 5);
    await expect(second).rejects.toMatchObject({ code: "aborted" });
    expect(fake.log).toEqual(["start default"]);
    await first;
    expect(fake.log).toEqual(["start default", "end default"]);
  });

  it("an error keeps its code and hint, after the text before it", async () => {
    const { engine, fake } = await openFake();
    fake.failure = new WinnowError("out_of_memory", "no page left", {
      hint: "lower it",
      details: { pages: 3 },
    });
    let text = "";
    const reading = (async () => {
      for await (const chunk of await engine.chat.completions.create({ messages, stream: true })) {
        text += chunk.choices[0].delta.content ?? "";
      }
    })();
    const error = await reading.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(WinnowError);
    expect(error).toMatchObject({ code: "out_of_memory", hint: "lower it", details: { pages: 3 } });
    expect(text).toBe("he");
  });
});

describe("a port on which the answer overtakes the text", () => {
  it("loses nothing: the service answers when the last piece has arrived", async () => {
    const received: string[] = [];
    const slow = async ({ deltas }: TokenBatch): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      received.push(...deltas.map(({ content = "" }) => content));
    };
    const service = serviceOver(new FakeEngine());
    await service.load(
      0,
      { model: "fake", cache: {} },
      () => {},
      () => {},
    );
    await service.complete(1, "default", checkRequest({ messages }), slow);
    expect(received.join("")).toBe("hello");
  });
});

describe("conversations", () => {
  it("requests of one conversation queue, those of two run side by side", async () => {
    const { engine, fake } = await openFake();
    const ask = (conversation: string) =>
      engine.chat.completions.create({ messages }, { conversation });
    await Promise.all([ask("a"), ask("a"), ask("b")]);
    const of = (id: string) => fake.log.filter((line) => line.endsWith(` ${id}`));
    expect(of("a")).toEqual(["start a", "end a", "start a", "end a"]);
    expect(fake.log.indexOf("start b")).toBeLessThan(fake.log.indexOf("end a"));
  });

  it("a failed request does not hold up the next", async () => {
    const { engine, fake } = await openFake();
    fake.failure = new Error("once");
    const first = engine.chat.completions.create({ messages });
    const second = engine.chat.completions.create({ messages, max_tokens: 2 });
    await expect(first).rejects.toMatchObject({ code: "internal" });
    expect((await second).choices[0].message.content).toBe("he");
  });

  it("configure takes effect while an answer streams", async () => {
    const { engine, fake } = await openFake();
    let configured = false;
    for await (const chunk of await engine.chat.completions.create({ messages, stream: true })) {
      if (configured || !chunk.choices[0].delta.content) continue;
      configured = true;
      expect(await engine.cache.configure({ budget: 100 })).toMatchObject({ budget: 100 });
    }
    expect(fake.log).toEqual(["start default", "configure default 100", "end default"]);
    expect(engine.cache.usage().budget).toBe(100);
  });

  it("checks a new budget against the window that was asked for before", async () => {
    const { engine, fake } = await openFake({ cache: { budget: 200, window: 90 } });
    await expect(engine.cache.configure({ budget: 80 })).rejects.toMatchObject({
      code: "invalid_argument",
    });
    expect(fake.log).toEqual([]);
    await engine.cache.configure({ window: 20 });
    await engine.cache.configure({ budget: 80 });
  });

  it("checks a new budget against all that was asked for at once before", async () => {
    const { engine } = await openFake({ cache: { budget: 200 } });
    const { cache } = engine;
    await Promise.all([cache.configure({ window: 90 }), cache.configure({ sinks: 2 })]);
    await expect(cache.configure({ budget: 80 })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });

  it("forks, reports and resets by name", async () => {
    const { engine, fake } = await openFake();
    await engine.chat.completions.create({ messages }, { conversation: "a" });
    await engine.cache.fork("a", "b");
    expect(engine.cache.usage({ conversation: "b" }).tokensSeen).toBe(PROMPT_TOKENS + 5);
    expect((await engine.cache.retention({ conversation: "b" })).kept).toHaveLength(
      PROMPT_TOKENS + 5,
    );
    await engine.cache.reset({ conversation: "a" });
    expect(engine.cache.usage({ conversation: "a" }).tokensSeen).toBe(0);
    expect(engine.cache.usage({ conversation: "b" }).tokensSeen).toBe(PROMPT_TOKENS + 5);
    await expect(engine.cache.fork("a", "a")).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(engine.cache.fork("nobody", "c")).rejects.toMatchObject({
      code: "invalid_argument",
    });
    expect(fake.log).toContain("fork a b");
  });

  it("usage() knows of a conversation whose cache gave way to another's", async () => {
    const { engine, fake } = await openFake();
    for (const conversation of ["a", "b"])
      await engine.chat.completions.create({ messages }, { conversation });
    expect(engine.cache.usage({ conversation: "a" }).tokensSeen).toBe(PROMPT_TOKENS + 5);
    fake.conversation("a").tokens = [];
    fake.gaveWay.push("a");
    await engine.chat.completions.create({ messages }, { conversation: "b" });
    expect(engine.cache.usage({ conversation: "a" }).tokensSeen).toBe(0);
    expect(engine.cache.usage({ conversation: "b" }).tokensSeen).toBe(PROMPT_TOKENS + 5);
  });

  it("two opposite forks do not wait for each other", async () => {
    const { engine } = await openFake();
    for (const conversation of ["a", "b"]) {
      await engine.chat.completions.create({ messages }, { conversation });
    }
    await Promise.all([engine.cache.fork("a", "b"), engine.cache.fork("b", "a")]);
  });
});

describe("the engine as a whole", () => {
  it("reports progress, figures and the verified hash", async () => {
    const stages: string[] = [];
    const { engine } = await openFake({ onProgress: ({ stage }) => stages.push(stage) });
    expect(stages).toEqual(["ready"]);
    expect(engine.memory()).toEqual({ weights: 10, kv: 5, activations: 2, staging: 1, total: 18 });
    expect(engine.info().model.sha256).toBe("abc");
    expect(engine.cache.usage()).toMatchObject({ budget: 512, policy: "q-filters", tokensSeen: 0 });
  });

  it("close ends what runs and what waits with `closed`; later calls are refused", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "x".repeat(500);
    const closed = { code: "closed" };
    const stream = await engine.chat.completions.create({ messages, stream: true });
    const ended = [
      expect(collect(stream)).rejects.toMatchObject(closed),
      expect(engine.chat.completions.create({ messages })).rejects.toMatchObject(closed),
      expect(engine.cache.reset()).rejects.toMatchObject(closed),
      expect(engine.calibrate()).rejects.toMatchObject(closed),
    ];
    await vi.waitFor(() => expect(engine.cache.usage().tokensSeen).toBeGreaterThan(0));
    const closing = engine.close();
    await expect(engine.cache.configure({ budget: 100 })).rejects.toMatchObject(closed);
    await Promise.all([closing, engine.close(), ...ended]);
    await engine.close();
    expect(fake.log.filter((line) => line.endsWith("default"))).toEqual([
      "start default",
      "left default",
    ]);
    expect(fake.log.at(-1)).toBe("close");
    const { completions } = engine.chat;
    await expect(completions.create({ messages })).rejects.toMatchObject(closed);
    await expect(completions.create({ messages, stream: true })).rejects.toMatchObject(closed);
    await expect(engine.cache.retention()).rejects.toMatchObject(closed);
    await expect(engine.cache.fork("default", "b")).rejects.toMatchObject(closed);
    await expect(engine.stopCalibration()).rejects.toMatchObject(closed);
    // What was known stays known.
    expect(engine.memory().total).toBe(18);
    expect(engine.cache.usage().tokensSeen).toBeGreaterThan(0);
  });

  it.each<[string, (die: (error: Error) => void) => Promise<unknown>, object]>([
    ["is ended before it answers", async () => ({ ok: true, value: null }), { code: "closed" }],
    [
      "dies",
      (die) => {
        die(new WinnowError("internal", "the worker died"));
        return new Promise(() => {});
      },
      { code: "internal", message: "the worker died" },
    ],
  ])("no call waits for ever on a worker that %s", async (_name, close, error) => {
    let die: (error: Error) => void = () => {};
    const failed = new Promise<never>((_resolve, reject) => {
      die = reject;
    });
    failed.catch(() => {});
    const service = serviceOver(new FakeEngine());
    const port = Object.assign(Object.create(service), {
      retention: () => new Promise(() => {}),
      close: () => close(die),
    });
    const connection = { port, failed, proxy: <T>(callback: T) => callback, end: () => {} };
    const options = checkEngineOptions({ model: "fake" });
    const engine = await EngineClient.open(connection, options, {});
    const waiting = expect(engine.cache.retention()).rejects.toMatchObject(error);
    await engine.close().catch(() => {});
    await waiting;
    await expect(engine.cache.retention()).rejects.toBeInstanceOf(WinnowError);
  });

  it("loading can be aborted", async () => {
    await expect(openFake({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "aborted",
    });
  });
});
