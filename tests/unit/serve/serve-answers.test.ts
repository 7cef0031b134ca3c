import OpenAI from "openai";
import { afterEach, describe, expect, it } from "vitest";
import type { ServedEngine } from "../../../src/cli/serve/routes.ts";
import type { ServeOptions } from "../../../src/cli/serve/server.ts";
import { WinnowError } from "../../../src/errors.ts";
import { openFake } from "../api/api-fake-engine.ts";
import {
  eventsOf,
  HELLO,
  post,
  rawPost,
  type Served,
  serveFake,
  until,
  user,
} from "./serve-harness.ts";

let served: Served;
const open = async (
  options: Partial<ServeOptions> = {},
  engine?: ServedEngine,
): Promise<Served> => {
  served = await serveFake(options, engine);
  return served;
};
afterEach(() => served.close());

describe("answers over HTTP", () => {
  it("gives the whole answer as the engine gives it", async () => {
    const response = await post(await open(), { ...HELLO, model: "fake" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^application\/json/);
    expect(await response.json()).toMatchObject({
      object: "chat.completion",
      model: "fake",
      choices: [{ message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
      usage: { completion_tokens: 5 },
    });
  });

  it("streams chunks as events, and ends with [DONE]", async () => {
    const response = await post(await open(), { ...HELLO, stream: true });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const events = await eventsOf(response);
    expect(events.at(-1)).toBe("[DONE]");
    const chunks = events.slice(0, -1) as {
      object: string;
      choices: { delta: { content?: string } }[];
    }[];
    expect(new Set(chunks.map(({ object }) => object))).toEqual(new Set(["chat.completion.chunk"]));
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe("hello");
  });

  it("the openai client streams, gets whole answers, lists models and sees typed errors", async () => {
    const { base } = await open({ key: "secret" });
    const client = new OpenAI({ baseURL: base, apiKey: "secret", maxRetries: 0 });
    const messages = [{ role: "user" as const, content: "hi" }];
    const whole = await client.chat.completions.create({ model: "fake", messages });
    expect(whole.choices[0]?.message.content).toBe("hello");
    let text = "";
    const stream = await client.chat.completions.create({ model: "fake", messages, stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toBe("hello");
    const continued = await client.completions.create({ model: "fake", prompt: "hi" });
    expect(continued.choices[0]?.text).toBe("hello");
    let more = "";
    const pieces = await client.completions.create({ model: "fake", prompt: "hi", stream: true });
    for await (const piece of pieces) more += piece.choices[0]?.text ?? "";
    expect(more).toBe("hello");
    await expect(
      client.completions.create({ model: "fake", prompt: "hi", suffix: "!" }),
    ).rejects.toMatchObject({ status: 400, param: "suffix" });
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["fake"]);
    expect(await client.models.retrieve("fake")).toMatchObject({ id: "fake", object: "model" });
    await expect(
      client.chat.completions.create({ model: "fake", messages, temperature: 9 }),
    ).rejects.toMatchObject({ status: 400, param: "temperature", code: "invalid_argument" });
    await expect(client.chat.completions.create({ model: "gpt", messages })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
    });
    const stranger = new OpenAI({ baseURL: base, apiKey: "wrong", maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toMatchObject({
      status: 401,
      code: "invalid_api_key",
    });
  });

  it("says what the engine refuses with a status also where a stream was asked for", async () => {
    const { fake } = await open();
    fake.contextLength = 3;
    const response = await post(served, { ...HELLO, stream: true });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { type: "invalid_request_error", code: "context_length_exceeded", param: null },
    });
  });

  it("ends a stream that fails in the middle with an error event, without [DONE], and reports it", async () => {
    const { fake, reports } = await open();
    fake.answer = "a long answer";
    fake.failure = new Error("the GPU caught fire");
    const response = await post(served, { ...HELLO, stream: true });
    const events = await eventsOf(response);
    expect(events.at(-1)).toMatchObject({ error: { type: "server_error", code: "internal" } });
    expect(reports).toEqual(["the GPU caught fire"]);
    fake.failure = new WinnowError("device_lost", "gone");
    const whole = await post(served, HELLO);
    expect([whole.status, whole.headers.get("retry-after")]).toEqual([503, "1"]);
    fake.failure = undefined;
    expect((await post(served, HELLO)).status).toBe(200);
  });
});

describe("conversations", () => {
  const cached = async (messages: object[]): Promise<number> => {
    const { usage } = await (await post(served, { messages })).json();
    return usage.prompt_tokens_details.cached_tokens;
  };
  const turn = (question: string) => [user(question), { role: "assistant", content: "hello" }];

  it("a chat's next turn finds what was read of it, whatever others ask meanwhile", async () => {
    await open();
    expect(await cached([user("first")])).toBe(0);
    expect(await cached([user("second")])).toBe(0);
    expect(await cached([...turn("first"), user("more")])).toBeGreaterThan(0);
    expect(await cached([...turn("second"), user("more")])).toBeGreaterThan(0);
  });

  it("keeps a bounded number of them: the one used longest ago makes room", async () => {
    const { fake } = await open({ conversations: 2 });
    for (const question of ["a", "b", "c"]) await cached([user(question)]);
    expect(new Set(fake.log.map((line) => line.replace(/^\w+ /, ""))).size).toBe(2);
    expect(await cached([...turn("b"), user("more")])).toBeGreaterThan(0);
    expect(await cached([...turn("a"), user("more")])).toBe(0);
  });

  it("two requests that begin alike are answered side by side", async () => {
    const { fake } = await open();
    const answers = await Promise.all([post(served, HELLO), post(served, HELLO)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    const starts = fake.log.filter((line) => line.startsWith("start"));
    expect(new Set(starts).size).toBe(2);
    // The second began before the first had ended.
    expect(fake.log.slice(0, 2)).toEqual(starts);
  });
});

describe("more requests than are answered at once", () => {
  it("wait in their order; beyond the bound they are told to come again", async () => {
    const { fake } = await open({ parallel: 1, waiting: 2 });
    fake.answer = "x".repeat(30);
    const running = post(served, HELLO);
    await until(() => fake.log.length > 0);
    const waiting = [post(served, HELLO), post(served, HELLO)];
    await until(
      async () => (await (await fetch(`${served.server.url}/health`)).json()).waiting === 2,
    );
    const refused = await post(served, HELLO);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    expect(await refused.json()).toMatchObject({ error: { type: "rate_limit_error" } });
    for (const response of await Promise.all([running, ...waiting]))
      expect(response.status).toBe(200);
    expect((await post(served, HELLO)).status).toBe(200);
  });

  it("a client that leaves while it waits costs nothing", async () => {
    const { fake } = await open({ parallel: 1 });
    fake.answer = "x".repeat(50);
    const running = post(served, HELLO);
    await until(() => fake.log.length > 0);
    const leaver = await rawPost(served, HELLO);
    const waiting = async (): Promise<number> =>
      (await (await fetch(`${served.server.url}/health`)).json()).waiting;
    await until(async () => (await waiting()) === 1);
    leaver.destroy();
    await until(async () => (await waiting()) === 0);
    expect((await running).status).toBe(200);
    expect(fake.log.filter((line) => line.startsWith("start"))).toHaveLength(1);
  });
});

describe("clients that leave or do not read", () => {
  it.each([true, false])(
    "an answer ends within a token of its client's leaving (stream: %s)",
    async (stream) => {
      const { fake } = await open();
      fake.answer = "x".repeat(100_000);
      const socket = await rawPost(served, { ...HELLO, stream });
      await until(() => fake.log.length > 0);
      socket.destroy();
      await until(() => fake.log.length > 1);
      expect(fake.log).toEqual(["start seat 1", "left seat 1"]);
      expect(served.reports).toEqual([]);
    },
  );

  it("a reader that takes nothing is left after a while: memory stays bounded, and others are answered", async () => {
    const chunk = { text: "x".repeat(10_000) };
    let sent = 0;
    let ended = "";
    const create = async (_: unknown, { signal }: { signal: AbortSignal }) =>
      (async function* () {
        for (; !signal.aborted; sent += 1) {
          yield chunk;
          await new Promise((resolve) => setImmediate(resolve));
        }
        ended = signal.reason.message;
        throw signal.reason;
      })();
    const { engine } = await openFake();
    const greedy = { ...engine, info: () => engine.info(), chat: { completions: { create } } };
    await open({ stallMs: 300, parallel: 1 }, greedy as unknown as ServedEngine);
    const socket = await rawPost(served, { ...HELLO, stream: true });
    socket.pause();
    await until(() => ended !== "");
    // What the two systems' buffers took, and a mebibyte.
    expect(sent * 10_000).toBeLessThan(20e6);
    const other = new AbortController();
    const response = await post(served, { ...HELLO, stream: true }, { signal: other.signal });
    expect((await response.body!.getReader().read()).done).toBe(false);
    other.abort();
    await until(async () => (await served.server.connections()) === 0);
  });

  it("a whole answer that nobody reads is left after a while too", async () => {
    const { engine } = await openFake();
    const create = async () => ({ text: "x".repeat(20e6) });
    const long = { ...engine, info: () => engine.info(), chat: { completions: { create } } };
    await open({ stallMs: 200 }, long as unknown as ServedEngine);
    (await rawPost(served, HELLO)).pause();
    await until(async () => (await served.server.connections()) === 1);
    await until(async () => (await served.server.connections()) === 0);
  });
});

describe("its end", () => {
  it("lets answers that run end, and takes no more", async () => {
    const { fake, server } = await open();
    fake.answer = "x".repeat(50);
    const running = post(served, HELLO);
    await until(() => fake.log.length > 0);
    const stopped = server.stop(10_000);
    expect((await running).status).toBe(200);
    await stopped;
    await expect(post(served, HELLO)).rejects.toThrow();
  });

  it("tells streams that go on longer that it stops", async () => {
    const { fake, server } = await open();
    fake.answer = "x".repeat(100_000);
    const response = await post(served, { ...HELLO, stream: true });
    await server.stop(20);
    expect((await eventsOf(response)).at(-1)).toMatchObject({ error: { code: "stopping" } });
    await until(() => fake.log.at(-1) === "left seat 1");
  });

  it("gives up an answer that takes too long", async () => {
    const { fake } = await open({ timeoutMs: 100 });
    fake.answer = "x".repeat(100_000);
    const response = await post(served, HELLO);
    expect([response.status, await response.json()]).toMatchObject([
      504,
      { error: { code: "timeout" } },
    ]);
    await until(() => fake.log.at(-1) === "left seat 1");
  });
});
