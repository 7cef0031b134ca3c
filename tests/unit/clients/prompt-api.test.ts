import { describe, expect, it, vi } from "vitest";
import { WinnowError } from "../../../src/errors.ts";
import {
  type CreateOptions,
  LanguageModel as Default,
  defineLanguageModel,
  type LanguageModelClass,
  type PromptInput,
  type PromptSession,
} from "../../../src/prompt-api.ts";
import { call, makerOf, type Reply, ScriptedEngine, text } from "./scripted-engine.ts";

/** The behaviours that web-platform-tests ask of language models, over a scripted engine. */

const ASK = "Please write a sentence in English.";
const hang = new Promise<never>(() => {});

function scripted(reply?: (count: number) => Reply) {
  const script = new ScriptedEngine(reply && ((_asked, count) => reply(count)));
  return { script, LanguageModel: defineLanguageModel({ model: script.engine }) };
}
const session = (options?: CreateOptions, reply?: (count: number) => Reply) =>
  scripted(reply).LanguageModel.create(options);

const named = (name: string) => expect.objectContaining({ name });
const rejects = async (promise: Promise<unknown>, name: string): Promise<unknown> => {
  const error = await promise.then(
    () => "resolved",
    (thrown) => thrown,
  );
  expect(error).toMatchObject({ name });
  if (/^[A-Z]\w+Error$/.test(name) && !["TypeError", "RangeError"].includes(name))
    expect(error).toBeInstanceOf(DOMException);
  return error;
};
/** What the model was asked, as role: content. */
const messages = (script: ScriptedEngine, at = -1): string[] =>
  script.asked.at(at)!.request.messages.map(({ role, content }) => `${role}: ${content}`);

async function readAll(stream: ReadableStream<string>): Promise<string> {
  let all = "";
  for await (const piece of stream as unknown as AsyncIterable<string>) all += piece;
  return all;
}

/** Rejects as soon as, and again after, the signal has fired: with an AbortError, or with the reason that was given. */
async function abortsWith(method: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  for (const reason of [undefined, new Error("test")]) {
    const control = new AbortController();
    const promise = method(control.signal);
    control.abort(reason);
    await expect(promise).rejects.toBe(control.signal.reason);
    await expect(method(control.signal)).rejects.toBe(control.signal.reason);
    expect(control.signal.reason).toMatchObject(reason ?? { name: "AbortError" });
  }
}

describe("LanguageModel.availability", () => {
  const { LanguageModel } = scripted();

  it.each([
    {},
    { expectedInputs: [{ type: "text" as const }], expectedOutputs: [] },
    { expectedInputs: [{ type: "text" as const, languages: ["EN", "ja", "de-CH-1901"] }] },
    {
      expectedInputs: [{ type: "tool-response" as const }],
      expectedOutputs: [{ type: "tool-call" as const }],
    },
    { samplingMode: "creative" as const },
    { topK: 1.5, temperature: 0 },
  ])("is available with %j", async (options) => {
    expect(await LanguageModel.availability(options)).toBe("available");
  });

  it.each([
    { expectedInputs: [{ type: "image" as const }] },
    { expectedInputs: [{ type: "audio" as const }] },
    { expectedOutputs: [{ type: "image" as const }] },
    { expectedInputs: [{ type: "text" as const, languages: ["unk"] }] },
    { expectedOutputs: [{ type: "text" as const, languages: ["unk"] }] },
  ])("is unavailable with %j, and create rejects", async (options) => {
    expect(await LanguageModel.availability(options)).toBe("unavailable");
    await rejects(LanguageModel.create(options), "NotSupportedError");
  });

  it("rejects types that there are not, and tags that are none", async () => {
    const soup = { expectedInputs: [{ type: "soup" as "text" }] };
    await rejects(LanguageModel.availability(soup), "TypeError");
    const invalid = { expectedInputs: [{ type: "text" as const, languages: ["en-abc-invalid"] }] };
    await rejects(LanguageModel.availability(invalid), "RangeError");
    await rejects(LanguageModel.create(invalid), "RangeError");
    await rejects(LanguageModel.availability({ samplingMode: "wild" as "creative" }), "TypeError");
  });

  it("is unavailable without WebGPU, where create says so", async () => {
    expect(await Default.availability()).toBe("unavailable");
    await rejects(Default.create(), "NotSupportedError");
  });
});

describe("LanguageModel.create", () => {
  it("gives an object with all members; nobody else can make one", async () => {
    const { LanguageModel } = scripted();
    const made = await LanguageModel.create();
    expect(made).toBeInstanceOf(LanguageModel);
    expect(made).toBeInstanceOf(EventTarget);
    const methods = [
      "prompt",
      "promptStreaming",
      "append",
      "measureContextUsage",
      "measureInputUsage",
    ];
    for (const method of [...methods, "clone", "destroy"])
      expect(typeof made[method as "prompt"]).toBe("function");
    const numbers = [
      "contextUsage",
      "contextWindow",
      "inputUsage",
      "inputQuota",
      "topK",
      "temperature",
    ];
    for (const number of numbers) expect(typeof made[number as "topK"]).toBe("number");
    expect(made.oncontextoverflow).toBe(null);
    expect(made.onquotaoverflow).toBe(null);
    expect(() => new LanguageModel()).toThrow(TypeError);
  });

  it("can be called without its class", async () => {
    const { create, availability } = scripted().LanguageModel;
    expect(await availability()).toBe("available");
    expect(await (await create()).prompt(ASK)).toBe("Hello!");
  });

  it.each([
    "most-predictable",
    "predictable",
    "slightly-predictable",
    "balanced",
    "slightly-creative",
    "creative",
    "most-creative",
  ] as const)("takes the sampling mode %s, and clones keep it", async (samplingMode) => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create({ samplingMode });
    expect(made.samplingMode).toBe(samplingMode);
    expect((await made.clone()).samplingMode).toBe(samplingMode);
    await made.prompt(ASK);
    expect(script.asked[0]!.request.temperature).toBe(made.temperature);
  });

  it("goes from balanced by itself, and by temperature and topK where they are given", async () => {
    expect((await session()).samplingMode).toBe("balanced");
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create({ topK: 3.7, temperature: 0.6 });
    expect(made).toMatchObject({ topK: 3, temperature: 0.6, samplingMode: null });
    await made.prompt(ASK);
    expect(script.asked[0]!.request).toMatchObject({ top_k: 3, temperature: 0.6 });
    const most = await session({
      topK: Number.POSITIVE_INFINITY,
      temperature: Number.POSITIVE_INFINITY,
    });
    const { maxTopK, maxTemperature } = await LanguageModel.params();
    expect(most).toMatchObject({ topK: maxTopK, temperature: maxTemperature });
  });

  it.each([
    [{ topK: 3 }, "NotSupportedError"],
    [{ temperature: 0.5 }, "NotSupportedError"],
    [{ topK: 3, temperature: -0.5 }, "RangeError"],
    [{ topK: 0, temperature: 0.5 }, "RangeError"],
    [{ topK: -2, temperature: 0.5 }, "RangeError"],
    [{ topK: Number.NaN, temperature: 0.5 }, "RangeError"],
    [{ samplingMode: "balanced" as const, topK: 3, temperature: 0.5 }, "TypeError"],
    [{ samplingMode: "balanced" as const, topK: 3 }, "TypeError"],
  ])("rejects %j with %s", async (options, name) => {
    await rejects(session(options), name);
  });

  const system = { role: "system" as const, content: "you are a robot" };
  const turns = [
    { role: "user" as const, content: "hello" },
    { role: "assistant" as const, content: "hi" },
  ];

  it("begins with initialPrompts, which count, and with none", async () => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create({ initialPrompts: [system, ...turns] });
    expect(made.contextUsage).toBe(await made.measureContextUsage([system, ...turns]));
    await made.prompt(ASK);
    expect(messages(script)).toEqual([
      "system: you are a robot",
      "user: hello",
      "assistant: hi",
      `user: ${ASK}`,
    ]);
    expect((await session({ initialPrompts: [] })).contextUsage).toBe(0);
    expect((await session({ initialPrompts: turns })).contextUsage).toBeGreaterThan(0);
  });

  it.each([
    [[...turns, system], "TypeError"],
    [[system, system, ...turns], "TypeError"],
    [[{ role: "robot" as "user", content: "a" }], "TypeError"],
    [[{ role: "user" as const }], "TypeError"],
    [
      [{ role: "user" as const, content: [{ type: "image" as const, value: new Blob() }] }],
      "NotSupportedError",
    ],
    [[{ role: "assistant" as const, content: "a", prefix: true }], "SyntaxError"],
  ])("rejects the initialPrompts %j with %s", async (initialPrompts, name) => {
    await rejects(
      session({ initialPrompts: initialPrompts as CreateOptions["initialPrompts"] & object }),
      name,
    );
  });

  it("rejects initialPrompts that the context window does not hold", async () => {
    const { script, LanguageModel } = scripted();
    script.budget = "full";
    const long = [{ role: "system" as const, content: "word ".repeat(150) }];
    const error = await rejects(
      LanguageModel.create({ initialPrompts: long }),
      "QuotaExceededError",
    );
    expect(error).toMatchObject({ requested: 152, quota: 100 });
  });

  const tool = {
    name: "lookup",
    description: "Looks up.",
    inputSchema: { type: "object" },
    execute: async () => "",
  };
  const circle: Record<string, unknown> = { type: "object" };
  circle.self = circle;
  it.each([
    ["no schema", { inputSchema: undefined }],
    ["null for a schema", { inputSchema: null }],
    ["a text for a schema", { inputSchema: "not an object" }],
    ["a schema without a type", { inputSchema: {} }],
    ["a schema of another type", { inputSchema: { type: "string" } }],
    ["properties that are no object", { inputSchema: { type: "object", properties: "no" } }],
    ["required that is no list", { inputSchema: { type: "object", required: "no" } }],
    ["a schema in a circle", { inputSchema: circle }],
    ["no name", { name: "" }],
    ["no description", { description: "" }],
    ["nothing to execute", { execute: undefined }],
  ])("rejects a tool with %s", async (_what, change) => {
    const tools = [tool, { ...tool, name: "other", ...change }] as CreateOptions["tools"] & object;
    await rejects(session({ tools }), "TypeError");
  });

  it("rejects two tools of one name, and throws what a schema throws", async () => {
    await rejects(session({ tools: [tool, tool] }), "TypeError");
    const error = new Error("from a getter");
    const inputSchema = {
      type: "object",
      get properties() {
        throw error;
      },
    };
    await expect(session({ tools: [{ ...tool, inputSchema }] })).rejects.toBe(error);
  });
});

describe("the monitor of create", () => {
  const loading = (steps: number[]) =>
    makerOf(
      () => new ScriptedEngine(),
      async ({ onProgress, signal }) => {
        for (const loaded of steps) {
          await new Promise((resolve) => setTimeout(resolve));
          if (signal?.aborted) return;
          onProgress?.({ stage: "download", loaded, total: 3 });
        }
      },
    );
  const over = (steps: number[]): LanguageModelClass =>
    defineLanguageModel({ from: loading(steps), model: "smollm2-135m-instruct" });

  it.each([[[]], [[1, 2, 2, 3]]])(
    "hears 0 first and 1 at last, always more: after steps %j",
    async (steps) => {
      const heard: ProgressEvent[] = [];
      let created = false;
      await over(steps).create({
        monitor(monitor) {
          monitor.addEventListener("downloadprogress", (event) => {
            expect(created).toBe(false);
            heard.push(event as ProgressEvent);
          });
        },
      });
      created = true;
      const loaded = heard.map((event) => event.loaded);
      expect(loaded[0]).toBe(0);
      expect(loaded.at(-1)).toBe(1);
      expect(loaded).toEqual([...new Set(loaded)].sort((a, b) => a - b));
      if (steps.length > 0) expect(loaded.length).toBeGreaterThan(3);
      for (const event of heard) {
        expect(event).toMatchObject({ total: 1, lengthComputable: true });
        expect(event.loaded % (1 / 0x10000)).toBe(0);
      }
    },
  );

  it.each([0, 1])("hears nothing more once create is aborted at %d, which rejects", async (at) => {
    const control = new AbortController();
    const error = new Error("test");
    let heard = 0;
    const creating = over([1, 2]).create({
      signal: control.signal,
      monitor: (monitor) => {
        monitor.ondownloadprogress = (event) => {
          if (control.signal.aborted) heard += 1;
          if ((event as ProgressEvent).loaded === at) queueMicrotask(() => control.abort(error));
        };
      },
    });
    await expect(creating).rejects.toBe(error);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(heard).toBe(0);
  });

  it("rejects with what the callback throws", async () => {
    const error = new Error("test");
    const creating = session({
      monitor: () => {
        throw error;
      },
    });
    await expect(creating).rejects.toBe(error);
  });

  it("names what ends a load", async () => {
    const failing = (code: "network" | "out_of_memory") =>
      defineLanguageModel({
        model: "smollm2-135m-instruct",
        from: makerOf(
          () => new ScriptedEngine(),
          async () => {
            throw new WinnowError(code, "no", { hint: "Try again." });
          },
        ),
      });
    const error = await rejects(failing("network").create(), "NetworkError");
    expect(error).toMatchObject({ message: "no. Try again.", cause: { code: "network" } });
    await rejects(failing("out_of_memory").create(), "OperationError");
  });
});

describe("prompt", () => {
  it("answers, and the next prompt goes on from it", async () => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create();
    expect(made.contextUsage).toBe(0);
    const asked = await made.measureContextUsage(ASK);
    const answer = await made.prompt(ASK);
    expect(made.contextUsage).toBe(asked + (await made.measureContextUsage(answer)));
    await made.prompt("And now?");
    expect(messages(script)).toEqual([`user: ${ASK}`, "assistant: Hello!", "user: And now?"]);
    expect(new Set(script.asked.map(({ options }) => options.conversation)).size).toBe(1);
  });

  it.each<[unknown, string]>([
    ["", ""],
    [null, "null"],
    [undefined, "undefined"],
    [7, "7"],
    [{}, "[object Object]"],
    [{ role: "system", content: "foo" }, "[object Object]"],
    [[], ""],
    [[{ role: "user", content: [] }], ""],
    [[{ role: "user", content: "" }], ""],
    [[{ role: "user", content: 7 }], "7"],
    [
      [
        {
          role: "user",
          content: [
            { type: "text", value: "a" },
            { type: "text", value: "b" },
          ],
        },
      ],
      "ab",
    ],
    [new Set([{ role: "user", content: "in a set" }]), "in a set"],
  ])("reads %j", async (input, content) => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create();
    await made.prompt(input as PromptInput);
    expect(messages(script)).toEqual([`user: ${content}`]);
    await made.append(input as PromptInput);
    expect(made.promptStreaming(input as PromptInput)).toBeInstanceOf(ReadableStream);
  });

  const user = { role: "user" as const, content: "foo" };
  const late = { role: "system" as const, content: "bar" };
  it.each<[unknown, string]>([
    [[user, late], "TypeError"],
    [[late, late], "TypeError"],
    [[{ ...user, role: "robot" }], "TypeError"],
    [["text"], "TypeError"],
    [[{ role: "user" }], "TypeError"],
    [[{ role: "user", content: [{ type: "soup", value: "" }] }], "TypeError"],
    [[{ role: "user", content: [{ type: "text" }] }], "TypeError"],
    [[{ role: "user", content: [{ type: "text", value: 7 }] }], "TypeError"],
    [[{ role: "user", content: [{ type: "image", value: new Blob() }] }], "NotSupportedError"],
    [[{ role: "user", content: [{ type: "audio", value: new Blob() }] }], "NotSupportedError"],
    [[{ role: "assistant", content: [{ type: "image", value: new Blob() }] }], "NotSupportedError"],
    [[{ ...user, prefix: true }], "SyntaxError"],
    [[{ role: "assistant", content: "a", prefix: true }, user], "SyntaxError"],
  ])("rejects %j with %s, and so do append and measureContextUsage", async (input, name) => {
    const made = await session();
    const given = input as PromptInput;
    await rejects(made.prompt(given), name);
    await rejects(made.append(given), name);
    await rejects(made.measureContextUsage(given), name);
    expect(() => made.promptStreaming(given)).toThrow(named(name));
    expect(await made.prompt(ASK)).toBe("Hello!");
  });

  it("rejects a system message behind what was said before, also in the queue", async () => {
    const begun = await session({ initialPrompts: [user] });
    await rejects(begun.prompt([late]), "TypeError");
    const fresh = await session();
    const first = fresh.append([late]);
    await rejects(fresh.prompt([late]), "TypeError");
    await first;
  });

  it("reads what it begins with and what is appended, before it is asked about", async () => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create({ initialPrompts: [user] });
    await made.append("more");
    const { conversation } = script.read[0]!.options;
    expect(script.read.map(({ request }) => request.messages)).toEqual([
      [user],
      [user, { role: "user", content: "more" }],
    ]);
    await made.prompt("now");
    expect(script.asked.map(({ options }) => options)).toEqual([{ conversation }]);
  });

  it("queues what is asked at once", async () => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create();
    await Promise.all([made.prompt("one"), made.append("two"), made.prompt("three")]);
    expect(messages(script)).toEqual([
      "user: one",
      "assistant: Hello!",
      "user: two",
      "user: three",
    ]);
  });

  it("rejects with what the engine says, by the names of the API, and the session is as it was", async () => {
    const { LanguageModel } = scripted((count) =>
      count === 0
        ? { deltas: text("Half"), error: new WinnowError("device_lost", "lost") }
        : { deltas: text("Well.") },
    );
    const made = await LanguageModel.create();
    expect(await rejects(made.prompt(ASK), "OperationError")).toMatchObject({
      cause: { code: "device_lost" },
    });
    expect(made.contextUsage).toBe(0);
    expect(await made.prompt(ASK)).toBe("Well.");
  });
});

describe("promptStreaming", () => {
  it("is a ReadableStream of pieces", async () => {
    const made = await session();
    const pieces: string[] = [];
    for await (const piece of made.promptStreaming(ASK) as unknown as AsyncIterable<string>)
      pieces.push(piece);
    expect(pieces).toEqual(["Hello", "!"]);
    expect(made.contextUsage).toBeGreaterThan(0);
  });

  it("several at once come one after the other", async () => {
    const made = await session();
    expect(
      await Promise.all([readAll(made.promptStreaming("a")), readAll(made.promptStreaming("b"))]),
    ).toEqual(["Hello!", "Hello!"]);
  });

  it("ends by its signal with the reason, and throws where that has fired", async () => {
    for (const reason of [undefined, new DOMException("test", "VersionError")]) {
      const made = await session();
      const control = new AbortController();
      const stream = made.promptStreaming(ASK, { signal: control.signal });
      control.abort(reason);
      await expect(stream.pipeTo(new WritableStream())).rejects.toBe(control.signal.reason);
      expect(() => made.promptStreaming(ASK, { signal: control.signal })).toThrow(
        control.signal.reason,
      );
    }
  });

  it("a reader that leaves stops the answer, of which nothing is kept", async () => {
    const { script, LanguageModel } = scripted(() => ({ deltas: text(..."a long answer") }));
    const made = await LanguageModel.create();
    const reader = made.promptStreaming(ASK).getReader();
    await reader.read();
    await reader.cancel();
    await vi.waitFor(() => expect(script.left).toBe(1));
    expect(made.contextUsage).toBe(0);
    await made.prompt("next");
    expect(messages(script)).toEqual(["user: next"]);
  });

  it("errors come through the stream", async () => {
    const made = await session({}, () => ({
      deltas: text("a"),
      error: new WinnowError("internal", "no"),
    }));
    await rejects(readAll(made.promptStreaming(ASK)), "OperationError");
  });
});

describe("an abort", () => {
  it("of create, clone, prompt, append and measureContextUsage rejects with its reason", async () => {
    const { LanguageModel } = scripted();
    await abortsWith((signal) => LanguageModel.create({ signal }));
    const made = await LanguageModel.create();
    await abortsWith((signal) => made.clone({ signal }));
    await abortsWith((signal) => made.prompt(ASK, { signal }));
    await abortsWith((signal) => made.append(ASK, { signal }));
    await abortsWith((signal) => made.measureContextUsage(ASK, { signal }));
    // The session is usable, and has nothing of what was aborted.
    expect(made.contextUsage).toBe(0);
    expect(await made.prompt(ASK)).toBe("Hello!");
  });

  it("of a prompt in the queue leaves those before and behind it", async () => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create();
    const control = new AbortController();
    const first = made.prompt("one");
    const second = made.prompt("two", { signal: control.signal });
    const third = made.prompt("three");
    control.abort();
    await rejects(second, "AbortError");
    await Promise.all([first, third]);
    expect(messages(script)).toEqual(["user: one", "assistant: Hello!", "user: three"]);
  });

  it("of what create was given destroys the session with its reason", async () => {
    const control = new AbortController();
    const made = await session({ signal: control.signal }, () => ({ deltas: [], after: hang }));
    const prompt = made.prompt(ASK);
    const error = new Error("over");
    control.abort(error);
    await expect(prompt).rejects.toBe(error);
    await expect(made.append(ASK)).rejects.toBe(error);
    await expect(made.clone()).rejects.toBe(error);
  });

  it("after the answer does nothing", async () => {
    const control = new AbortController();
    const made = await session();
    await made.prompt(ASK, { signal: control.signal });
    const usage = made.contextUsage;
    control.abort();
    expect(made.contextUsage).toBe(usage);
  });
});

describe("destroy", () => {
  it("rejects what is under way and all that follows; properties stay, and the cache is freed", async () => {
    const { script, LanguageModel } = scripted(() => ({ deltas: text("never"), after: hang }));
    const made = await LanguageModel.create({ initialPrompts: [{ role: "user", content: "hi" }] });
    const running = made.prompt(ASK);
    const queued = made.append(ASK);
    const stream = readAll(made.promptStreaming(ASK));
    await vi.waitFor(() => expect(script.asked).toHaveLength(1));
    made.destroy();
    made.destroy();
    const later: ((made: PromptSession) => Promise<unknown>)[] = [
      (made) => made.prompt(ASK),
      (made) => made.append(ASK),
      (made) => made.measureContextUsage(ASK),
      (made) => made.clone(),
    ];
    for (const promise of [running, queued, stream, ...later.map((method) => method(made))])
      await rejects(promise, "InvalidStateError");
    expect(() => made.promptStreaming(ASK)).toThrow(named("InvalidStateError"));
    expect(typeof made.contextUsage).toBe("number");
    expect(typeof made.inputQuota).toBe("number");
    await vi.waitFor(() => expect(script.left).toBe(1));
    expect(script.resets).toHaveLength(1);
  });

  it("leaves other sessions, and unload frees the engine", async () => {
    const script = new ScriptedEngine();
    const LanguageModel = defineLanguageModel({ from: makerOf(() => script), model: "m.gguf" });
    const [one, other] = [await LanguageModel.create(), await LanguageModel.create()];
    one.destroy();
    expect(await other.prompt(ASK)).toBe("Hello!");
    await LanguageModel.unload();
    await rejects(other.prompt(ASK), "InvalidStateError");
  });
});

describe("clone", () => {
  it("goes on from the same messages and the same cache, each for itself", async () => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create({ topK: 3, temperature: 0.5 });
    await made.prompt("one");
    const copy = await made.clone();
    expect(copy).toBeInstanceOf(LanguageModel);
    for (const name of [
      "contextUsage",
      "contextWindow",
      "topK",
      "temperature",
      "samplingMode",
    ] as const)
      expect(copy[name]).toBe(made[name]);
    await copy.prompt("two");
    expect(messages(script)).toEqual(["user: one", "assistant: Hello!", "user: two"]);
    expect(copy.contextUsage).toBeGreaterThan(made.contextUsage);
    await made.prompt("three");
    expect(messages(script)).toEqual(["user: one", "assistant: Hello!", "user: three"]);
    const [a, b] = script.forks[0]!;
    expect(script.asked.map(({ options }) => options.conversation)).toEqual([a, b, a]);
    made.destroy();
    expect(await copy.prompt("four")).toBe("Hello!");
  });

  it("of a session that is answering has nothing of that answer", async () => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create();
    const answering = made.prompt("one");
    const copy = await made.clone();
    expect(copy.contextUsage).toBe(0);
    await answering;
    await copy.prompt("two");
    expect(messages(script)).toEqual(["user: two"]);
  });
});

describe("the context window", () => {
  it("is Infinity under a budget, where nothing overflows", async () => {
    const made = await session();
    expect(made.contextWindow).toBe(Number.POSITIVE_INFINITY);
    made.oncontextoverflow = () => expect.unreachable();
    await made.prompt("word ".repeat(500));
    await made.prompt("word ".repeat(500));
    expect(made.contextUsage).toBeGreaterThan(1000);
  });

  it("drops the oldest prompts with their answers without one, and says so; what the session began with stays", async () => {
    const { script, LanguageModel } = scripted();
    script.budget = "full";
    const made = await LanguageModel.create({
      initialPrompts: [{ role: "system", content: "be brief" }],
    });
    expect(made.contextWindow).toBe(100);
    const heard: string[] = [];
    made.addEventListener("contextoverflow", ({ type }) => heard.push(type));
    made.oncontextoverflow = () => heard.push("handler");
    made.onquotaoverflow = () => heard.push("older");
    await made.prompt("first");
    await made.prompt("second");
    expect(heard).toEqual([]);
    await made.append(`third ${"word ".repeat(90)}`);
    expect(heard.sort()).toEqual(["contextoverflow", "handler", "older"]);
    expect(made.contextUsage).toBeLessThanOrEqual(100);
    await made.prompt("fourth");
    expect(messages(script)).toEqual(["system: be brief", "user: fourth"]);
  });

  it("rejects what it cannot hold at all, and drops nothing for it", async () => {
    const { script, LanguageModel } = scripted();
    script.budget = "full";
    const made = await LanguageModel.create();
    await made.prompt("first");
    const { contextUsage } = made;
    const long = "word ".repeat(200);
    const requested = await made.measureContextUsage(long);
    for (const method of ["prompt", "append"] as const) {
      const error = await rejects(made[method](long), "QuotaExceededError");
      expect(error).toMatchObject({ requested, quota: 100 });
    }
    expect(made.contextUsage).toBe(contextUsage);
  });
});

describe("responseConstraint", () => {
  const schema = {
    type: "object",
    required: ["Rating"],
    additionalProperties: false,
    properties: { Rating: { type: "number", minimum: 0, maximum: 5 } },
  };

  it("holds the answer to a schema, which the model is told of unless that is omitted", async () => {
    const { script, LanguageModel } = scripted(() => ({ deltas: text('{"Rating":', "3}") }));
    const made = await LanguageModel.create();
    expect(JSON.parse(await made.prompt("hello", { responseConstraint: schema }))).toEqual({
      Rating: 3,
    });
    expect(script.asked[0]!.request.response_format).toEqual({
      type: "json_schema",
      json_schema: { name: "response", schema },
    });
    expect(messages(script)[0]).toContain(JSON.stringify(schema));
    const options = { responseConstraint: schema, omitResponseConstraintInput: true };
    await made.prompt("again", options);
    expect(messages(script).at(-1)).toBe("user: again");
    const omitted = await made.measureContextUsage("again", options);
    const told = await made.measureContextUsage("again", { responseConstraint: schema });
    expect(told).toBeGreaterThan(omitted);
  });

  it("holds the answer to a regular expression", async () => {
    const { script, LanguageModel } = scripted();
    const made = await LanguageModel.create();
    await made.prompt("hello", { responseConstraint: /^hel+o$/i });
    expect(script.asked[0]!.request.response_format).toEqual({ type: "regex", pattern: "^hel+o$" });
  });

  it("goes with a prefix, which the answer leaves out", async () => {
    const { script, LanguageModel } = scripted(() => ({ deltas: text("4}") }));
    const made = await LanguageModel.create();
    const prefix = { role: "assistant" as const, content: '{ "Rating": ', prefix: true };
    const input = [{ role: "user" as const, content: "hello" }, prefix];
    expect(await made.prompt(input, { responseConstraint: schema })).toBe("4}");
    expect(script.asked[0]!.request).toMatchObject({ continue_final_message: true });
    expect(messages(script)[0]).toContain("schema");
    expect(messages(script)[1]).toBe('assistant: { "Rating": ');
    await made.prompt("next");
    expect(messages(script)[1]).toBe('assistant: { "Rating": 4}');
    expect(script.asked[1]!.request).not.toHaveProperty("continue_final_message");
  });

  const circle: Record<string, unknown> = {};
  circle.self = circle;
  it.each<[object, string]>([
    [{ responseConstraint: circle }, "NotSupportedError"],
    [{ responseConstraint: "schema" }, "TypeError"],
    [{ responseConstraint: null }, "TypeError"],
    [{ omitResponseConstraintInput: true }, "TypeError"],
  ])("rejects %o with %s", async (options, name) => {
    const made = await session();
    await rejects(made.prompt(ASK, options), name);
    await rejects(made.measureContextUsage(ASK, options), name);
  });

  it("takes an answer that was brought to its end for lack of tokens, and one that goes on from a prefix", async () => {
    const said = ['{"Rating": 3}', "4}", "aab"];
    const { LanguageModel } = scripted((count) => ({
      deltas: text(said[count]!),
      finish: "length",
    }));
    const made = await LanguageModel.create();
    expect(await made.prompt("hello", { responseConstraint: schema })).toBe(said[0]);
    const prefix = { role: "assistant" as const, content: '{ "Rating": ', prefix: true };
    const input = [{ role: "user" as const, content: "hello" }, prefix];
    expect(await made.prompt(input, { responseConstraint: schema })).toBe(said[1]);
    expect(await made.prompt("hello", { responseConstraint: /^a+b$/ })).toBe(said[2]);
  });

  it.each([
    [schema, '{"Rating": 3'],
    [schema, ""],
    [{ type: "integer", minimum: 10 }, "1"],
    [/^a{3}$/, "aa"],
  ])("rejects what %o has only the beginning of: %s", async (responseConstraint, beginning) => {
    const made = await session({}, () => ({ deltas: text(beginning), finish: "length" }));
    await rejects(made.prompt(ASK, { responseConstraint }), "SyntaxError");
  });

  it("rejects what the engine cannot follow, and an answer that ends too early", async () => {
    const refused = new WinnowError("invalid_argument", "response_format.pattern: look-arounds");
    const made = await session({}, (count) =>
      count === 0 ? { deltas: [], error: refused } : { deltas: text("{"), finish: "length" },
    );
    await rejects(made.prompt(ASK, { responseConstraint: /(?=a)/ }), "NotSupportedError");
    await rejects(made.prompt(ASK, { responseConstraint: schema }), "SyntaxError");
    expect(made.contextUsage).toBe(0);
  });
});

describe("tools", () => {
  const weather = (execute: (input: never) => Promise<string> | string) => ({
    name: "weather",
    description: "The weather of a town",
    inputSchema: { type: "object", properties: { town: { type: "string" } } },
    execute,
  });

  it("are executed, all of a round at once, and the model hears what they say", async () => {
    const { script, LanguageModel } = scripted((count) =>
      count === 0
        ? {
            deltas: [
              ...call("a", "weather", '{"town":"A"}', 0),
              ...call("b", "weather", '{"town":"B"}', 1),
            ],
            finish: "tool_calls",
          }
        : { deltas: text("Cold.") },
    );
    const running: string[] = [];
    let most = 0;
    const execute = async ({ town }: { town: string }): Promise<string> => {
      running.push(town);
      most = Math.max(most, running.length);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running.pop();
      return `${town}: 7 degrees`;
    };
    const made = await LanguageModel.create({ tools: [weather(execute)] });
    expect(await made.prompt("Weather?")).toBe("Cold.");
    expect(most).toBe(2);
    expect(messages(script)).toEqual([
      "user: Weather?",
      "assistant: ",
      "tool: A: 7 degrees",
      "tool: B: 7 degrees",
    ]);
    expect(script.asked[0]!.request.tools).toMatchObject([
      { name: "weather", inputSchema: { type: "object" } },
    ]);
    await made.prompt("And now?");
    expect(messages(script)).toHaveLength(6);
  });

  it("what one throws rejects the prompt, of which nothing is kept", async () => {
    const made = await session(
      {
        tools: [
          weather(() => {
            throw new Error("no network");
          }),
        ],
      },
      () => ({ deltas: call("a", "weather", "{}"), finish: "tool_calls" }),
    );
    await expect(made.prompt("Weather?")).rejects.toThrow("no network");
    expect(made.contextUsage).toBe(0);
  });

  it("a model that calls without end is told to answer", async () => {
    const { script, LanguageModel } = scripted((count) =>
      script.asked[count]!.request.tool_choice === "none"
        ? { deltas: text("Enough.") }
        : { deltas: call(`${count}`, "weather", "{}"), finish: "tool_calls" },
    );
    const made = await LanguageModel.create({ tools: [weather(() => "7")] });
    expect(await made.prompt("Weather?")).toBe("Enough.");
    expect(script.asked.length).toBe(9);
  });
});

describe("the polyfill", () => {
  const scope = globalThis as { LanguageModel?: unknown };

  it("makes a global where there is none, and leaves one that is there", async () => {
    const { polyfill } = await import("../../../src/prompt-api.ts");
    try {
      const { script } = scripted();
      const made = polyfill({ model: script.engine });
      expect(scope.LanguageModel).toBe(made);
      expect(polyfill()).toBe(made);
      expect(polyfill({ model: script.engine, replace: true })).not.toBe(made);
      delete scope.LanguageModel;
      await import("../../../src/prompt-api-polyfill.ts");
      expect(scope.LanguageModel).toHaveProperty("create");
    } finally {
      delete scope.LanguageModel;
    }
  });
});
