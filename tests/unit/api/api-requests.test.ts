import { runInNewContext } from "node:vm";
import type OpenAI from "openai";
import { describe, expect, it } from "vitest";
import * as furtherChecks from "../../../src/api/checks/openai-fields.ts";
import { checkEngineOptions } from "../../../src/api/checks/validate-engine.ts";
import {
  checkRequestOptions,
  checkRequest as checkWith,
} from "../../../src/api/checks/validate-request.ts";
import { WinnowError } from "../../../src/errors.ts";
import { samplingWords } from "../../../src/kernels/sampling/sample.ts";
import { openFake } from "./api-fake-engine.ts";

const messages = [{ role: "user" as const, content: "hi" }];
/** As left out, but for the random seed. */
const checkRequest = (request: unknown) => checkWith(request, furtherChecks);
const plain = { ...checkRequest({ messages }), sampling: expect.anything() };
const checked = (request: object) => checkRequest({ messages, ...request });
const textOf = (message: object) => checkRequest({ messages: [message] }).messages[0];

function refusal(request: object): WinnowError {
  try {
    checked(request);
  } catch (error) {
    expect(error).toBeInstanceOf(WinnowError);
    expect(error).toMatchObject({ code: "invalid_argument" });
    return error as WinnowError;
  }
  throw new Error("nothing was refused");
}

/** Every field of OpenAI's requests but for the messages: values that ask for nothing, and what is refused. */
const FIELDS: Record<
  Exclude<keyof OpenAI.ChatCompletionCreateParamsStreaming, "messages">,
  { nothing: unknown[]; refused: unknown[] }
> = {
  model: { nothing: [null], refused: [7, ""] },
  stream: { nothing: [null, false], refused: ["yes"] },
  stream_options: {
    nothing: [null, {}, { include_usage: true }, { include_usage: null }],
    refused: [{ include_obfuscation: true }, { include_usge: true }, 1],
  },
  max_tokens: { nothing: [null], refused: [0, "10", Number.NaN, 1.5, Infinity] },
  max_completion_tokens: { nothing: [null], refused: [0, "10", Number.NaN] },
  n: { nothing: [null, 1], refused: [9, 0, 1.5, "1"] },
  temperature: { nothing: [null, 0.7], refused: ["0.7", Number.NaN, -1, 6, {}] },
  top_p: { nothing: [null, 1], refused: ["1", -0.1, 1.1] },
  frequency_penalty: { nothing: [null, 0, -0], refused: ["0", 3] },
  presence_penalty: { nothing: [null, 0], refused: [true] },
  seed: { nothing: [null, -1], refused: ["1", 1.5, 2 ** 53, -2, 1n] },
  stop: { nothing: [null, []], refused: [[""], "", 7, [null], new Array(17).fill("a")] },
  logprobs: { nothing: [null, false], refused: [1, "no"] },
  top_logprobs: { nothing: [null, 0], refused: [1, 21, -1, 1.5, "2"] },
  logit_bias: {
    nothing: [null, {}, { 5: 0 }],
    refused: [{ 5: 101 }, { 5: -101 }, { 5: "1" }, { a: 1 }, { "-1": 1 }, { 1.5: 1 }, "a", [1]],
  },
  tools: { nothing: [null, []], refused: [[{ type: "function" }], "a"] },
  tool_choice: { nothing: [null, "none", "auto"], refused: ["required", { type: "function" }] },
  parallel_tool_calls: { nothing: [null, true, false], refused: [] },
  functions: { nothing: [null, []], refused: [[{ name: "f" }]] },
  function_call: { nothing: [null, "none", "auto"], refused: [{ name: "f" }] },
  response_format: {
    nothing: [null, { type: "text" }],
    refused: [
      { type: "json_schema" },
      { type: "json_schema", json_schema: { name: "a" } },
      { type: "json_schema", json_schema: { name: "a", schema: "b" } },
      { type: "json_schema", json_schema: { name: 5, schema: {} } },
      { type: "json_schema", json_schema: { name: "a", schema: {}, strict: "yes" } },
      { type: "json_schema", json_schema: { name: "a", schema: {}, shcema: {} } },
      { type: "json_object", pattern: "a" },
      { type: "regex" },
      { type: "grammar", grammar: "" },
      { type: "xml" },
      "text",
      {},
    ],
  },
  modalities: { nothing: [null, [], ["text"]], refused: [["text", "audio"], "audio"] },
  audio: { nothing: [null], refused: [{ voice: "alloy", format: "mp3" }] },
  store: { nothing: [null, false], refused: [true] },
  service_tier: { nothing: [null, "auto", "default"], refused: ["flex"] },
  reasoning_effort: { nothing: [null], refused: ["most", 5, ""] },
  verbosity: { nothing: [null, "medium"], refused: ["low"] },
  prediction: { nothing: [null], refused: [{ type: "content", content: "a" }] },
  moderation: { nothing: [null], refused: [{}] },
  web_search_options: { nothing: [null], refused: [{}] },
  user: { nothing: [null, "u"], refused: [] },
  metadata: { nothing: [null, {}, { a: "b" }], refused: [] },
  safety_identifier: { nothing: [null, "s"], refused: [] },
  prompt_cache_key: { nothing: [null, "k"], refused: [] },
  prompt_cache_options: { nothing: [null, {}], refused: [] },
  prompt_cache_retention: { nothing: [null, "24h"], refused: [] },
};

describe("requests of OpenAI's clients", () => {
  it.each(Object.entries(FIELDS))("%s that asks for nothing is as if left out", (name, field) => {
    for (const value of [undefined, ...field.nothing])
      expect(checked({ [name]: value })).toEqual(plain);
  });

  it.each(Object.entries(FIELDS))("%s that asks for more is refused by name", (name, field) => {
    for (const value of field.refused) expect(refusal({ [name]: value }).message).toContain(name);
  });

  it("null in fields of our own is as if left out, and in names that nobody knows", () => {
    const own = { top_k: null, min_p: null, repetition_penalty: null, speculative: null };
    expect(checked({ ...own, anything: null, other: undefined })).toEqual(plain);
  });

  it("says what to do about what is refused", () => {
    for (const request of [{ tools: [{}] }, { top_logprobs: 3 }, { store: true }])
      expect(refusal(request).hint).not.toBe("");
  });

  it("max_completion_tokens is max_tokens; the lower of the two counts", () => {
    expect(checked({ max_completion_tokens: 7 }).maxTokens).toBe(7);
    expect(checked({ max_completion_tokens: 7, max_tokens: 5 }).maxTokens).toBe(5);
    expect(checked({ max_completion_tokens: 7, max_tokens: null }).maxTokens).toBe(7);
    expect(checked({ max_tokens: Number.MAX_SAFE_INTEGER }).maxTokens).toBe(2 ** 53 - 1);
  });

  it("takes seeds up to 2^53 - 1; -1 is a random one", () => {
    for (const seed of [0, 2 ** 32, Date.now(), 2 ** 53 - 1])
      expect(checked({ seed }).sampling.seed).toBe(seed);
    const random = new Set([1, 2, 3].map(() => checked({ seed: -1 }).sampling.seed));
    expect(random.size).toBeGreaterThan(1);
    for (const seed of random) expect(seed).toBeGreaterThanOrEqual(0);
  });

  it("options of a request to a server are null or of no effect, or refused by name", () => {
    const options = { signal: null, conversation: null, maxRetries: 2, idempotencyKey: "k" };
    expect(checkRequestOptions(options)).toEqual({ conversation: "default" });
    expect(checkRequestOptions(null)).toEqual({ conversation: "default" });
    expect(() => checkRequestOptions({ timeout: 5 })).toThrow(/options.timeout: .*AbortSignal/);
  });
});

describe("messages of OpenAI's clients", () => {
  it("our own answer is history, whatever fields it has", async () => {
    const { engine, fake } = await openFake();
    const history: object[] = [...messages];
    const create = (request: unknown) => engine.chat.completions.create(request as never);
    const answer = (await create({ messages: history })) as unknown as OpenAI.ChatCompletion;
    history.push(answer.choices[0]!.message, { role: "user", content: "and?" });
    await create({ messages: history });
    expect(fake.log.filter((line) => line.startsWith("end"))).toHaveLength(2);
    for (const more of [
      { refusal: null, annotations: [], audio: null, tool_calls: null, function_call: null },
      { tool_calls: [], reasoning_content: 5, reasoning: { a: 1 }, annotations: [{ url: "u" }] },
      { id: "1", createdAt: new Date(), parsed: null, status: "done", audio: { id: "a" } },
    ])
      expect(textOf({ role: "assistant", content: "hello", ...more })).toEqual({
        role: "assistant",
        content: "hello",
      });
  });

  it.each<[string, object, object]>([
    [
      "what an assistant thought",
      { role: "assistant", content: "a", reasoning_content: "b", id: "1" },
      { role: "assistant", content: "a", reasoning_content: "b" },
    ],
    ["developer", { role: "developer", content: "a" }, { role: "system", content: "a" }],
    ["a name", { role: "user", content: "a", name: "Ann" }, { role: "user", content: "a" }],
    [
      "text parts",
      {
        role: "user",
        content: [
          { type: "text", text: "a " },
          { type: "text", text: "b" },
        ],
      },
      { role: "user", content: "a b" },
    ],
    ["no parts", { role: "user", content: [] }, { role: "user", content: "" }],
    [
      "null of an assistant",
      { role: "assistant", content: null },
      { role: "assistant", content: "" },
    ],
    ["nothing of an assistant", { role: "assistant" }, { role: "assistant", content: "" }],
    [
      "a refusal",
      { role: "assistant", content: null, refusal: "No." },
      { role: "assistant", content: "No." },
    ],
    [
      "parts of a refusal",
      { role: "assistant", content: [{ type: "refusal", refusal: "No." }] },
      { role: "assistant", content: "No." },
    ],
    ["a tool's result", { role: "tool", content: "5" }, { role: "tool", content: "5" }],
  ])("%s is taken", (_name, message, expected) => {
    expect(textOf(message)).toEqual(expected);
  });

  it.each<[string, unknown, RegExp]>([
    [
      "an image",
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "image_url", image_url: {} },
        ],
      },
      /^messages\[0\].content\[1\].type: must be "text", not "image_url"/,
    ],
    ["audio", { role: "user", content: [{ type: "input_audio" }] }, /"input_audio"/],
    ["a file", { role: "user", content: [{ type: "file", file: {} }] }, /"file"/],
    ["a string among parts", { role: "user", content: ["a"] }, /content\[0\]: must be an object/],
    ["a part without text", { role: "user", content: [{ type: "text" }] }, /content\[0\].text/],
    ["parts within parts", { role: "user", content: [[{ type: "text" }]] }, /content\[0\]/],
    ["images beside the text", { role: "user", content: "a", images: ["b"] }, /\[0\].images/],
    ["no content of a user", { role: "user", content: null }, /^messages\[0\].content: must be/],
    ["a number", { role: "user", content: 5 }, /not 5/],
    ["calls of tools", { role: "assistant", content: null, tool_calls: [{}] }, /\[0\].tool_calls/],
    ["a call", { role: "assistant", content: null, function_call: {} }, /\[0\].function_call/],
    ["an answer that was spoken", { role: "assistant", audio: { id: "a" } }, /\[0\].audio/],
    ["no role", { content: "a" }, /^messages\[0\].role/],
    ["a hole", undefined, /^messages\[0\]: must be an object, not undefined/],
    ["an array", [], /^messages\[0\]: must be an object/],
  ])("%s is refused by name", (_name, message, expected) => {
    const error = refusal({ messages: [message] });
    expect(error.message).toMatch(expected);
  });
});

describe("hostile requests", () => {
  const boom = () => {
    throw new Error("boom");
  };
  const revoked = (): object => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  };
  const getter = (name: string) => Object.defineProperty({}, name, { get: boom, enumerable: true });

  it.each<[string, unknown, RegExp]>([
    ["a getter that throws", getter("temperature"), /^temperature: reading it threw: boom/],
    ["one of a name that nobody knows", getter("other"), /^other: reading it threw: boom/],
    ["a message's", { messages: [getter("content")] }, /^messages\[0\].content: reading it threw/],
    ["a request that is revoked", revoked(), /^request: reading it threw/],
    ["messages that are revoked", { messages: revoked() }, /^messages: reading it threw/],
    ["a message that is revoked", { messages: [revoked()] }, /^messages\[0\]: reading it threw/],
    ["parts", { messages: [{ role: "user", content: [revoked()] }] }, /content\[0\]: reading it/],
    ["stop", { messages, stop: revoked() }, /^stop: reading it threw/],
    ["tools", { messages, tools: revoked() }, /^tools: reading it threw/],
    ["a symbol", { messages, temperature: Symbol("s") }, /^temperature: must be a number/],
    ["a big integer", { messages, max_tokens: 5n }, /^max_tokens: must be an integer/],
    ["four thousand million holes", { messages: new Array(2 ** 32 - 1) }, /^messages\[0\]: must/],
    ["a function", boom, /^request: must be an object/],
    ["a list", [], /^request: must be an object/],
  ])("%s is refused by name, as invalid_argument", (_name, request, message) => {
    try {
      checkRequest(request);
    } catch (error) {
      expect(error).toBeInstanceOf(WinnowError);
      expect(error).toMatchObject({ code: "invalid_argument" });
      expect((error as WinnowError).message).toMatch(message);
      return;
    }
    throw new Error("nothing was refused");
  });

  it("a thrown thing without a text is no reason to throw another", () => {
    const request = Object.defineProperty({}, "seed", {
      get: () => {
        throw Object.create(null);
      },
    });
    expect(() => checkRequest(request)).toThrow(/^seed: reading it threw/);
  });

  it("each field is read once", () => {
    let reads = 0;
    const request = {
      messages,
      get temperature() {
        reads += 1;
        return reads === 1 ? 1 : "hot";
      },
    };
    expect(checkRequest(request).sampling.temperature).toBe(1);
    expect(reads).toBe(1);
  });

  it("takes frozen requests, objects without a prototype, class instances and other realms'", () => {
    class Message {
      role = "user";
      get content() {
        return "hi";
      }
    }
    const bare = Object.assign(Object.create(null), { messages: [new Message()] });
    for (const request of [
      Object.freeze({ messages: Object.freeze([Object.freeze(messages[0])]) }),
      bare,
      new Proxy({ messages }, {}),
      runInNewContext(
        "({ messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] })",
      ),
    ])
      expect(checkRequest(request)).toEqual(plain);
  });
});

describe("values of other realms", () => {
  /** As of an iframe or of jsdom: the same members, and another class. */
  const foreignSignal = () => {
    const listeners = new Set<() => void>();
    const signal = {
      aborted: false,
      reason: undefined as unknown,
      addEventListener: (_type: string, listener: () => void) => listeners.add(listener),
      removeEventListener: (_type: string, listener: () => void) => listeners.delete(listener),
    };
    const abort = () => {
      signal.aborted = true;
      for (const listener of listeners) listener();
    };
    return { signal: signal as unknown as AbortSignal, abort, listeners };
  };

  it("an AbortSignal stops an answer, and keeps no listener", async () => {
    const { engine, fake } = await openFake();
    fake.answer = "x".repeat(500);
    const { signal, abort, listeners } = foreignSignal();
    const answer = engine.chat.completions.create({ messages }, { signal });
    setTimeout(abort, 5);
    await expect(answer).rejects.toMatchObject({ code: "aborted" });
    expect(listeners.size).toBe(0);
    await expect(openFake({ signal: foreignSignal().signal })).resolves.toBeDefined();
  });

  it.each([{}, null, { aborted: false }, "signal", () => {}])("%s is no AbortSignal", (signal) => {
    if (signal === null) expect(checkRequestOptions({ signal }).signal).toBeUndefined();
    else expect(() => checkRequestOptions({ signal })).toThrow(/must be an AbortSignal/);
  });

  it("a File is a model, alone or in a FileList", () => {
    const blob = new Blob(["abc"]);
    const file = {
      size: 3,
      type: "",
      name: "a.gguf",
      slice: blob.slice.bind(blob),
      arrayBuffer: blob.arrayBuffer.bind(blob),
    };
    expect(checkEngineOptions({ model: file }).model).toBe(file);
    const list = { length: 2, 0: file, 1: blob, item: () => file };
    expect(checkEngineOptions({ model: list }).model).toEqual([file, blob]);
    expect(() => checkEngineOptions({ model: [] })).toThrow(/^model: /);
    expect(() => checkEngineOptions({ model: [file, "b"] })).toThrow(/^model: /);
  });

  it("filters are bytes of any kind", () => {
    for (const code of [
      "Uint8Array.of(1, 2, 3).buffer",
      "Uint8Array.of(1, 2, 3)",
      "new DataView(Uint8Array.of(1, 2, 3).buffer)",
      "new Uint8Array(Uint8Array.of(9, 1, 2, 3, 9).buffer, 1, 3)",
    ]) {
      const { filters } = checkEngineOptions({ model: "m", filters: runInNewContext(code) });
      expect(filters).toBeInstanceOf(Uint8Array);
      expect([...(filters as Uint8Array)]).toEqual([1, 2, 3]);
    }
  });

  it("null in createEngine's options is as if left out", () => {
    const nothing = { cache: null, filters: null, signal: null, onProgress: null, tuning: null };
    expect(checkEngineOptions({ model: "m", ...nothing })).toEqual({ model: "m", cache: {} });
  });
});

it.each([
  ["temperature", 0, 5],
  ["top_k", 0, 2 ** 20],
  ["top_p", 0, 1],
  ["min_p", 0, 1],
  ["repetition_penalty", 0.01, 10],
  ["frequency_penalty", -2, 2],
  ["presence_penalty", -2, 2],
])("whatever %s a request may have, the kernels take, from %d to %d", (field, least, most) => {
  const messages = [{ role: "user", content: "hi" }];
  for (const value of [least, most])
    expect(() => samplingWords(checkRequest({ messages, [field]: value }).sampling)).not.toThrow();
  for (const value of [least - 1, most + 1, Number.NaN])
    expect(() => checkRequest({ messages, [field]: value })).toThrow(`${field}: must be`);
});

it("whatever seed a request may have, the kernels take", () => {
  const messages = [{ role: "user", content: "hi" }];
  for (const seed of [-1, 0, Number.MAX_SAFE_INTEGER])
    expect(() => samplingWords(checkRequest({ messages, seed }).sampling)).not.toThrow();
});
