import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { openHybrid } from "../../../src/api/remote/hybrid-engine.ts";
import type {
  ChatCompletionChunk,
  ChatCompletionRequest,
  Engine,
  EngineOptions,
  InferenceMode,
  ModelSource,
  RemoteOptions,
  StoredModel,
} from "../../../src/api/types.ts";
import { type ErrorCode, WinnowError } from "../../../src/errors.ts";
import { type Served, serveFake } from "../serve/serve-harness.ts";
import { type FakeEngine, openFake } from "./api-fake-engine.ts";

const HELLO = { messages: [{ role: "user" as const, content: "hi" }] };
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A server of OpenAI's API over a fake engine that answers "from afar". */
async function cloud(options: Parameters<typeof serveFake>[0] = {}): Promise<Served> {
  const served = await serveFake(options);
  served.fake.answer = "from afar";
  closing.push(() => served.close());
  return served;
}

/** What a server gets, and answers with whatever `answer` says. */
async function scripted(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<{ baseURL: string; bodies: Record<string, unknown>[]; requests: IncomingMessage[] }> {
  const bodies: Record<string, unknown>[] = [];
  const requests: IncomingMessage[] = [];
  const server: Server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    requests.push(request);
    if (body) bodies.push(JSON.parse(body));
    answer(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { baseURL: `http://127.0.0.1:${port}/v1`, bodies, requests };
}

interface Opened {
  engine: Engine;
  /** The engine of this device, once it was loaded. */
  local: { fake?: FakeEngine; loads: number };
}

/** An engine with a server, whose own model is a fake that says "hello", or fails to load. */
async function open(
  mode: InferenceMode | undefined,
  remote: RemoteOptions,
  failure?: WinnowError,
  {
    model = new Blob([]),
    arrived = Promise.resolve(),
  }: { model?: ModelSource; arrived?: Promise<void> } = {},
): Promise<Opened> {
  const local: Opened["local"] = { loads: 0 };
  const openLocal = async () => {
    local.loads += 1;
    await arrived;
    if (failure) throw failure;
    const { engine, fake } = await openFake();
    local.fake = fake;
    return engine;
  };
  const engine = await openHybrid({ model, remote, ...(mode && { mode }) }, openLocal, stored);
  closing.push(() => engine.close());
  return { engine, local };
}

const STORED = "https://models.example/stored.gguf";
const stored = async (): Promise<StoredModel[]> => [
  {
    source: STORED,
    bytes: 1,
    complete: true,
    lastUsed: new Date(),
    files: [],
  } as unknown as StoredModel,
];

async function collect(stream: AsyncIterable<ChatCompletionChunk>) {
  const chunks: ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map(({ choices }) => choices[0].delta.content ?? "").join("");
  return { text, chunks, sources: new Set(chunks.map(({ inferenceSource }) => inferenceSource)) };
}
const streamed = async (engine: Engine) =>
  collect(await engine.chat.completions.create({ ...HELLO, stream: true }));
const whole = async (engine: Engine) => {
  const { choices, inferenceSource } = await engine.chat.completions.create(HELLO);
  return [choices[0].message.content, inferenceSource];
};

const DOWN: RemoteOptions = { baseURL: "http://127.0.0.1:9/v1", model: "fake" };
const HERE = ["hello", "on_device"];
const THERE = ["from afar", "in_cloud"];

describe("modes", () => {
  it.each<[InferenceMode | undefined, string[], number]>([
    ["only-in-cloud", THERE, 0],
    ["prefer-in-cloud", THERE, 0],
    ["prefer-on-device", HERE, 1],
    ["only-on-device", HERE, 1],
    [undefined, HERE, 1],
  ])("%s, where both are there: %s", async (mode, expected, loads) => {
    const { base, fake } = await cloud();
    const { engine, local } = await open(mode, { baseURL: base, model: "fake" });
    expect(await whole(engine)).toEqual(expected);
    const { text, sources } = await streamed(engine);
    expect([text, ...sources]).toEqual(expected);
    expect(local.loads).toBe(loads);
    // What is answered here is not sent.
    expect(fake.log.length > 0).toBe(expected === THERE);
  });

  it.each<[ErrorCode, string]>([
    ["no_webgpu", "no_webgpu"],
    ["no_adapter", "no_webgpu"],
    ["adapter_too_weak", "no_webgpu"],
    ["out_of_memory", "does_not_fit"],
    ["network", "not_downloaded"],
    ["model_not_found", "not_downloaded"],
    ["unsupported_model", "error"],
  ])(
    "prefer-on-device falls back where loading fails by %s, and says why",
    async (code, reason) => {
      const { base } = await cloud();
      const remote = { baseURL: base, model: "fake" };
      const { engine } = await open("prefer-on-device", remote, new WinnowError(code, "alas"));
      expect(await whole(engine)).toEqual(THERE);
      expect(engine.info()).toMatchObject({
        model: { name: "fake" },
        inference: {
          mode: "prefer-on-device",
          source: "in_cloud",
          fallback: { reason, code, message: "alas" },
        },
      });
    },
  );

  it.each<ErrorCode>(["invalid_argument", "aborted"])(
    "%s is no reason to ask a server",
    async (code) => {
      const { base, fake } = await cloud();
      const remote = { baseURL: base, model: "fake" };
      const opening = open("prefer-on-device", remote, new WinnowError(code, "alas"));
      await expect(opening).rejects.toMatchObject({ code });
      expect(fake.log).toEqual([]);
    },
  );

  const ABSENT = "https://models.example/absent.gguf";

  it("prefer-on-device has the server answer while the model is downloaded, and then answers here", async () => {
    const { base } = await cloud();
    const remote = { baseURL: base, model: "fake" };
    let arrive = (): void => {};
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const { engine, local } = await open("prefer-on-device", remote, undefined, {
      model: ABSENT,
      arrived,
    });
    expect(await whole(engine)).toEqual(THERE);
    expect(engine.info().inference).toEqual({
      mode: "prefer-on-device",
      source: "in_cloud",
      fallback: { reason: "not_downloaded", message: "the model is being downloaded" },
    });
    arrive();
    await expect.poll(() => engine.info().inference?.source).toBe("on_device");
    expect(engine.info().inference).toEqual({ mode: "prefer-on-device", source: "on_device" });
    expect(await whole(engine)).toEqual(HERE);
    expect(local.loads).toBe(1);
  });

  it("a model that is stored, or at hand, is waited for", async () => {
    const { base, fake } = await cloud();
    for (const model of [STORED, new Blob([])]) {
      const arrived = new Promise<void>((resolve) => setTimeout(resolve, 20));
      const remote = { baseURL: base, model: "fake" };
      const { engine } = await open("prefer-on-device", remote, undefined, { model, arrived });
      expect(await whole(engine)).toEqual(HERE);
    }
    expect(fake.log).toEqual([]);
  });

  it("a download that fails leaves the server to answer, and says why", async () => {
    const { base } = await cloud();
    const remote = { baseURL: base, model: "fake" };
    const failure = new WinnowError("network", "alas");
    const { engine } = await open("prefer-on-device", remote, failure, { model: ABSENT });
    await expect.poll(() => engine.info().inference?.fallback?.code).toBe("network");
    expect(await whole(engine)).toEqual(THERE);
  });

  it("only-on-device never asks the server", async () => {
    const { base } = await cloud();
    const remote = { baseURL: base, model: "fake" };
    const opening = open("only-on-device", remote, new WinnowError("no_webgpu", "alas"));
    await expect(opening).rejects.toMatchObject({ code: "no_webgpu" });
  });

  it.each<[ErrorCode, boolean]>([
    ["device_lost", true],
    ["out_of_memory", false],
    ["context_overflow", false],
  ])(
    "prefer-on-device asks the server where an answer cannot begin here: %s",
    async (code, forGood) => {
      const { base } = await cloud();
      const { engine, local } = await open("prefer-on-device", { baseURL: base, model: "fake" });
      expect(engine.info().inference).toEqual({ mode: "prefer-on-device", source: "on_device" });
      const { fake } = local;
      fake!.answer = "";
      fake!.contextLength = 1;
      if (code !== "context_overflow") {
        fake!.contextLength = 1000;
        fake!.conversation = () => {
          throw new WinnowError(code, "alas");
        };
      }
      expect(await whole(engine)).toEqual(THERE);
      expect((await streamed(engine)).text).toBe("from afar");
      expect(engine.info().inference).toMatchObject({
        source: forGood ? "in_cloud" : "on_device",
        fallback: { code },
      });
    },
  );

  it("an answer that has begun here ends here, with its error", async () => {
    const { base, fake: there } = await cloud();
    const { engine, local } = await open("prefer-on-device", { baseURL: base, model: "fake" });
    local.fake!.failure = new WinnowError("device_lost", "alas");
    local.fake!.answer = "a long answer";
    await expect(streamed(engine)).rejects.toMatchObject({ code: "device_lost" });
    expect(there.log).toEqual([]);
  });

  it("prefer-in-cloud answers here where the server cannot be reached, and says why; the model is loaded once", async () => {
    const { engine, local } = await open("prefer-in-cloud", DOWN);
    expect(local.loads).toBe(0);
    expect(await whole(engine)).toEqual(HERE);
    expect((await streamed(engine)).text).toBe("hello");
    expect(local.loads).toBe(1);
    expect(engine.info().inference).toMatchObject({
      source: "in_cloud",
      fallback: { reason: "unreachable", code: "network" },
    });
  });

  it("prefer-in-cloud says both where neither answers", async () => {
    const { engine } = await open("prefer-in-cloud", DOWN, new WinnowError("no_webgpu", "no GPU"));
    await expect(whole(engine)).rejects.toMatchObject({
      code: "network",
      message: expect.stringMatching(/could not be reached.*on this device: no GPU/),
    });
  });

  it.each([500, 502, 503, 429])("status %i is a reason to answer here", async (status) => {
    const { baseURL } = await scripted((_, response) => response.writeHead(status).end("busy"));
    const { engine } = await open("prefer-in-cloud", { baseURL, model: "m" });
    expect(await whole(engine)).toEqual(HERE);
  });

  it.each<[number, ErrorCode]>([
    [400, "invalid_argument"],
    [401, "invalid_argument"],
    [404, "model_not_found"],
  ])("status %i is told, not hidden by an answer from here", async (status, code) => {
    const { baseURL } = await scripted((_, response) =>
      response.writeHead(status).end('{"error":{"message":"so not","param":"seed"}}'),
    );
    const { engine, local } = await open("prefer-in-cloud", { baseURL, model: "m" });
    await expect(whole(engine)).rejects.toMatchObject({
      code,
      message: expect.stringContaining("so not"),
    });
    expect(local.loads).toBe(0);
  });

  it("a stream that breaks off in the middle ends with network, and is not begun anew here", async () => {
    const chunk = {
      id: "1",
      choices: [{ index: 0, delta: { content: "half" }, finish_reason: null }],
    };
    const { baseURL } = await scripted((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`data: ${JSON.stringify(chunk)}\n\n`);
      setTimeout(() => response.destroy(), 20);
    });
    const { engine, local } = await open("prefer-in-cloud", { baseURL, model: "m" });
    const stream = await engine.chat.completions.create({ ...HELLO, stream: true });
    const texts: unknown[] = [];
    const reading = (async () => {
      for await (const { choices } of stream) texts.push(choices[0].delta.content);
    })();
    await expect(reading).rejects.toMatchObject({ code: "network" });
    expect([texts, local.loads]).toEqual([["half"], 0]);
  });
});

describe("texts and models", () => {
  const continued = async (engine: Engine, stream: boolean) => {
    if (!stream) {
      const { choices, inferenceSource } = await engine.completions.create({ prompt: "hi" });
      return [choices[0].text, inferenceSource];
    }
    let text = "";
    const sources = new Set<string>();
    for await (const piece of await engine.completions.create({ prompt: "hi", stream: true })) {
      text += piece.choices[0].text;
      sources.add(piece.inferenceSource);
    }
    return [text, ...sources];
  };

  it.each([false, true])("texts go on by the same modes, streamed: %s", async (stream) => {
    const { base } = await cloud();
    const remote = { baseURL: base, model: "fake" };
    expect(await continued((await open("only-in-cloud", remote)).engine, stream)).toEqual(THERE);
    expect(await continued((await open("prefer-on-device", remote)).engine, stream)).toEqual(HERE);
    expect(await continued((await open("prefer-in-cloud", DOWN)).engine, stream)).toEqual(HERE);
  });

  it("models are those of who answers, awaited or gone through", async () => {
    const { base } = await cloud();
    const { engine } = await open("only-in-cloud", { baseURL: base, model: "fake" });
    expect((await engine.models.list()).data.map(({ id }) => id)).toEqual(["fake"]);
    for await (const { id } of engine.models.list()) expect(id).toBe("fake");
    const down = await open("only-in-cloud", DOWN);
    await expect(down.engine.models.list()).rejects.toMatchObject({ code: "network" });
  });
});

describe("what is sent", () => {
  it("is the request, with the server's model and the key, without what only this engine knows", async () => {
    const { baseURL, bodies, requests } = await scripted((_, response) =>
      response.end(
        JSON.stringify({ id: "1", choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }),
      ),
    );
    const { engine } = await open("only-in-cloud", { baseURL, apiKey: "k", model: "big" });
    const { usage } = await engine.chat.completions.create({
      ...HELLO,
      stream: false,
      model: "small",
      speculative: "off",
      temperature: 0,
      tools: [
        { name: "add", description: "adds", inputSchema: { type: "object" }, execute: () => 1 },
      ],
    } as ChatCompletionRequest & { stream: false });
    expect(requests[0]?.headers).toMatchObject({ authorization: "Bearer k" });
    expect(requests[0]?.headers.cookie).toBeUndefined();
    expect(bodies).toEqual([
      {
        ...HELLO,
        model: "big",
        temperature: 0,
        stream: false,
        tools: [
          {
            type: "function",
            function: { name: "add", description: "adds", parameters: { type: "object" } },
          },
        ],
      },
    ]);
    expect(usage).toMatchObject({
      total_tokens: 5,
      prompt_tokens_details: { cached_tokens: 0 },
      extra: { time_to_first_token_s: expect.any(Number) },
    });
  });

  it.each([
    {
      code: 400,
      message: "request (6031 tokens) exceeds the available context size (2048 tokens)",
      type: "exceed_context_size_error",
    },
    {
      code: 400,
      message: "This model's maximum context length is 2048 tokens.",
      type: "BadRequestError",
    },
    { code: "context_length_exceeded", message: "too long", type: "invalid_request_error" },
  ])("a chat that is too long for the server's model is told as one: %j", async (error) => {
    const { baseURL } = await scripted((_request, response) => {
      response
        .writeHead(400, { "content-type": "application/json" })
        .end(JSON.stringify({ error }));
    });
    const { engine } = await open("only-in-cloud", { baseURL, model: "m" });
    await expect(engine.chat.completions.create(HELLO)).rejects.toMatchObject({
      code: "context_overflow",
      message: expect.stringContaining(error.message),
    });
  });

  it.each([
    { type: "regex", pattern: "a+" },
    { type: "grammar", grammar: "root ::= [a]" },
  ] as const)("a format that no server knows is refused: %j", async (response_format) => {
    const { baseURL, bodies } = await scripted((_, response) => response.end("{}"));
    const { engine } = await open("only-in-cloud", { baseURL, model: "m" });
    const asked = engine.chat.completions.create({ ...HELLO, response_format });
    await expect(asked).rejects.toMatchObject({
      code: "invalid_argument",
      details: { field: "response_format" },
    });
    expect(bodies).toEqual([]);
  });

  it.each([
    [{ mode: "only-in-cloud" }, "remote"],
    [{ mode: "prefer-on-device" }, "remote"],
    [{ mode: "in-cloud" }, "mode"],
    [{ mode: "" }, "mode"],
    [{ remote: { model: "m" } }, "remote.baseURL"],
    [{ remote: { baseURL: "http://x/v1" } }, "remote.model"],
    [{ remote: { baseURL: "ftp://x", model: "m" } }, "remote.baseURL"],
    [{ remote: { baseURL: "http://x", model: "m", key: "k" } }, "remote.key"],
    [{ remote: "http://x" }, "remote"],
  ])("createEngine refuses %j", async (options, field) => {
    const opening = async () =>
      openHybrid(options as EngineOptions, () => Promise.reject(new Error()), stored);
    await expect(opening()).rejects.toMatchObject({ code: "invalid_argument", details: { field } });
  });
});

describe("what comes", () => {
  it("usage and several choices come in the shape that the engine's own chunks have", async () => {
    const events = [
      { id: "1", choices: [{ index: 0, delta: { role: "assistant" }, finish_reason: null }] },
      {
        id: "1",
        choices: [
          { index: 0, delta: { content: "a" }, finish_reason: null },
          { index: 1, delta: { content: "b" }, finish_reason: null },
        ],
      },
      { id: "1", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
      { id: "1", choices: [{ index: 1, delta: {}, finish_reason: "length" }] },
      { id: "1", choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } },
    ];
    const { baseURL } = await scripted((_, response) => {
      const text = events.map((event) => `data: ${JSON.stringify(event)}\r\n\r\n`).join("");
      // In pieces that mind no event, with comments in between.
      const all = `: hello\r\n\r\n${text}data: [DONE]\r\n\r\n`;
      for (let at = 0; at < all.length; at += 7) response.write(all.slice(at, at + 7));
      response.end();
    });
    const { engine } = await open("only-in-cloud", { baseURL, model: "m" });
    const { chunks } = await streamed(engine);
    expect(chunks.map(({ choices }) => choices.length)).toEqual([1, 1, 1, 1, 1]);
    expect(chunks.map(({ choices }) => choices[0].index)).toEqual([0, 0, 1, 0, 1]);
    expect(chunks.map(({ usage }) => usage?.total_tokens)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      5,
    ]);
  });

  it.each(["break", "signal"])("%s ends the answer on the server", async (how) => {
    const { base, fake } = await cloud();
    fake.answer = "x".repeat(100_000);
    const { engine } = await open("only-in-cloud", { baseURL: base, model: "fake" });
    const control = new AbortController();
    const { signal } = control;
    const stream = await engine.chat.completions.create({ ...HELLO, stream: true }, { signal });
    const reading = (async () => {
      for await (const _ of stream) {
        if (how === "break") break;
        control.abort();
      }
    })();
    if (how === "break") await reading;
    else await expect(reading).rejects.toMatchObject({ code: "aborted" });
    await expect.poll(() => fake.log.at(-1)).toBe("left seat 1");
  });

  it("an error in the middle of a stream is told", async () => {
    const { base, fake } = await cloud();
    fake.answer = "a long answer";
    fake.failure = new Error("the GPU caught fire");
    const { engine } = await open("only-in-cloud", { baseURL: base, model: "fake" });
    await expect(streamed(engine)).rejects.toMatchObject({
      message: expect.stringContaining("the GPU caught fire"),
    });
  });

  it("a prompt that is too long for the server is context_overflow, as here", async () => {
    const { base, fake } = await cloud();
    fake.contextLength = 1;
    const { engine } = await open("only-in-cloud", { baseURL: base, model: "fake" });
    await expect(whole(engine)).rejects.toMatchObject({ code: "context_overflow" });
  });

  it("what only an engine here has is a typed error; what asks for nothing is no error", async () => {
    const { engine } = await open("only-in-cloud", DOWN);
    expect(() => engine.cache.usage()).toThrow(expect.objectContaining({ code: "not_on_device" }));
    const { cache } = engine;
    for (const call of [
      () => cache.configure({ budget: 64 }),
      () => cache.retention(),
      () => cache.save(),
      () => cache.load("chat.winnow"),
      () => cache.fork("a", "b"),
      () => engine.calibrate(),
      () => engine.countTokens({ messages: [{ role: "user", content: "Hi" }] }),
    ])
      await expect(call()).rejects.toMatchObject({
        code: "not_on_device",
        hint: expect.any(String),
      });
    await cache.reset();
    await engine.stopCalibration();
    expect(engine.memory().total).toBe(0);
    await engine.close();
    await expect(whole(engine)).rejects.toMatchObject({ code: "closed" });
  });
});
