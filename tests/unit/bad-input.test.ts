import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkMemory } from "../../src/api/checks/check-memory.ts";
import { checkEngineOptions } from "../../src/api/checks/validate-engine.ts";
import type { EngineClient } from "../../src/api/page/client.ts";
import { checkSettings } from "../../src/cache/budget.ts";
import type { CacheOptions } from "../../src/cache/cache-options.ts";
import { readFilters } from "../../src/cache/filters-file.ts";
import { type ErrorCode, WinnowError } from "../../src/errors.ts";
import { DEFAULT_MODEL, findModel } from "../../src/fetch/resolve/model-registry.ts";
import { BlobSource } from "../../src/formats/blob-source.ts";
import { parseGguf } from "../../src/formats/gguf/gguf.ts";
import { configOf } from "../reference/tiny-model/config-of.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { type FakeEngine, openFake } from "./api/api-fake-engine.ts";
import { winnow } from "./cli/cli-harness.ts";

type Case = [name: string, input: unknown, code: ErrorCode, message: RegExp];

const messages = [{ role: "user", content: "hi" }];

/** Arguments of createEngine. */
const OPTIONS: Case[] = [
  ["no options", undefined, "invalid_argument", /^options: must be an object, not undefined/],
  ["no model", {}, "invalid_argument", /^model: must be a name, a URL, a File or Blob/],
  [
    "an empty model",
    { model: "" },
    "invalid_argument",
    /^model: must be a string that is not empty/,
  ],
  [
    "a repo without owner",
    { model: { repo: "x", file: "y" } },
    "invalid_argument",
    /^model.repo: must be "owner\/name"/,
  ],
  [
    "a hub file with a typo",
    { model: { repo: "a/b", file: "c", rev: "d" } },
    "invalid_argument",
    /^model.rev: unknown option; allowed are repo, file, revision/,
  ],
  [
    "an unknown option",
    { model: "m", budgt: 3 },
    "invalid_argument",
    /^budgt: unknown option; allowed are model, cache/,
  ],
  [
    "budget outside cache",
    { model: "m", budget: 3 },
    "invalid_argument",
    /^budget: belongs in cache/,
  ],
  [
    "an unknown cache option",
    { model: "m", cache: { size: 3 } },
    "invalid_argument",
    /^cache.size: unknown option; allowed are budget, bytes, policy, window, sinks/,
  ],
  [
    "a budget in words",
    { model: "m", cache: { budget: "big" } },
    "invalid_argument",
    /^cache.budget: must be an integer of at least 1 or "full", not "big"/,
  ],
  [
    "a negative budget",
    { model: "m", cache: { budget: -1 } },
    "invalid_argument",
    /^cache.budget: must be an integer from 1 to/,
  ],
  [
    "a fractional window",
    { model: "m", cache: { window: 1.5 } },
    "invalid_argument",
    /^cache.window: must be an integer/,
  ],
  [
    "an unknown storage of pages",
    { model: "m", cache: { kv: "q4" } },
    "invalid_argument",
    /^cache.kv: must be one of "f16", "q8", "f32", not "q4"/,
  ],
  [
    "an unknown policy",
    { model: "m", cache: { policy: "lru" } },
    "invalid_argument",
    /^cache.policy: must be one of winnow, q-filters, q-filters-age/,
  ],
  [
    "a window as large as the budget",
    { model: "m", cache: { budget: 64, window: 64 } },
    "invalid_argument",
    /^cache.budget: 64 pairs leave no room/,
  ],
  [
    "window and sinks together too large",
    { model: "m", cache: { budget: 64, window: 60, sinks: 4 } },
    "invalid_argument",
    /window of 60 and 4 sinks/,
  ],
  [
    "half a whole layer",
    { model: "m", cache: { wholeLayers: 0.5 } },
    "invalid_argument",
    /^cache.wholeLayers: must be an integer/,
  ],
  [
    "filters of the wrong type",
    { model: "m", filters: 3 },
    "invalid_argument",
    /^filters: must be a URL or the bytes/,
  ],
  [
    "a memory limit of nothing",
    { model: "m", memoryLimit: 0 },
    "invalid_argument",
    /^memoryLimit: must be an integer of at least 1/,
  ],
  ["a tuning that there is not", { model: "m", tuning: "slow" }, "invalid_argument", /^tuning: /],
  [
    "speculation by a model",
    { model: "m", speculative: "draft" },
    "invalid_argument",
    /^speculative: /,
  ],
  [
    "a progress that is no function",
    { model: "m", onProgress: true },
    "invalid_argument",
    /^onProgress: must be a function, not true/,
  ],
  [
    "a tokenizer without decode",
    { model: "m", tokenizer: { encode() {} } },
    "invalid_argument",
    /^tokenizer: must have encode and decode/,
  ],
  [
    "a signal that is none",
    { model: "m", signal: {} },
    "invalid_argument",
    /^signal: must be an AbortSignal/,
  ],
];

/** Requests of chat.completions.create. */
const REQUESTS: Case[] = [
  [
    "no messages",
    {},
    "invalid_argument",
    /^messages: must be an array of at least one message, not undefined/,
  ],
  ["an empty chat", { messages: [] }, "invalid_argument", /^messages: .* not an array of 0/],
  [
    "an unknown role",
    { messages: [{ role: "robot", content: "" }] },
    "invalid_argument",
    /^messages\[0\].role: must be one of "system"/,
  ],
  [
    "an image",
    { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
    "invalid_argument",
    /^messages\[0\].content\[0\].type: must be "text", not "image_url"/,
  ],
  [
    "a field in a message",
    { messages: [{ role: "user", content: "", nme: "x" }] },
    "invalid_argument",
    /^messages\[0\].nme: unknown field/,
  ],
  ["tools", { messages, tools: [{}] }, "invalid_argument", /^tools\[0\].type: must be "function"/],
  [
    "a bias",
    { messages, logit_bias: { 5: 101 } },
    "invalid_argument",
    /^logit_bias.5: must be a number from -100 to 100/,
  ],
  [
    "a response format",
    { messages, response_format: { type: "json_schema" } },
    "invalid_argument",
    /^response_format.json_schema: must be an object/,
  ],
  [
    "nine answers",
    { messages, n: 9 },
    "invalid_argument",
    /^n: must be an integer from 1 to 8, not 9/,
  ],
  [
    "a hot temperature",
    { messages, temperature: 6 },
    "invalid_argument",
    /^temperature: must be a number from 0 to 5, not 6/,
  ],
  [
    "NaN",
    { messages, top_p: Number.NaN },
    "invalid_argument",
    /^top_p: must be a number from 0 to 1, not NaN/,
  ],
  ["speculation that is on", { messages, speculative: true }, "invalid_argument", /^speculative: /],
  [
    "a fractional top_k",
    { messages, top_k: 1.5 },
    "invalid_argument",
    /^top_k: must be an integer/,
  ],
  [
    "no tokens at all",
    { messages, max_tokens: 0 },
    "invalid_argument",
    /^max_tokens: must be an integer of at least 1/,
  ],
  [
    "a negative seed",
    { messages, seed: -2 },
    "invalid_argument",
    /^seed: must be an integer of at least -1/,
  ],
  [
    "an empty stop string",
    { messages, stop: [""] },
    "invalid_argument",
    /^stop\[0\]: must be a string that is not empty/,
  ],
  [
    "a misspelled field",
    { messages, temprature: 1 },
    "invalid_argument",
    /^temprature: unknown option; allowed are messages, stream/,
  ],
];

const bytes = (change: (file: Uint8Array) => Uint8Array | undefined): Uint8Array => {
  const file = tinyModel("f32").slice();
  return change(file) ?? file;
};
const set = (offset: number, ...values: number[]) => bytes((file) => void file.set(values, offset));

/** Bytes of a model file. */
const FILES: Case[] = [
  ["an empty file", new Uint8Array(0), "bad_model_file", /magic|truncat|end/i],
  ["another magic", set(0, 80, 75, 3, 4), "bad_model_file", /magic/],
  ["a version of the future", set(4, 99), "bad_model_file", /version/],
  [
    "an absurd number of tensors",
    set(8, 255, 255, 255, 255, 255, 255, 255),
    "bad_model_file",
    /tensor_count at byte 8/,
  ],
  [
    "an absurd number of keys",
    set(16, 255, 255, 255, 255, 255, 255, 255),
    "bad_model_file",
    /metadata_kv_count at byte 16/,
  ],
  ["a header cut off", bytes((file) => file.slice(0, 100)), "bad_model_file", /byte|end|offset/i],
  [
    "weights cut off",
    bytes((file) => file.slice(0, file.length - 64)),
    "bad_model_file",
    /tensor|outside|beyond|end/i,
  ],
];

async function failure(run: () => unknown): Promise<WinnowError> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(WinnowError);
    return error as WinnowError;
  }
  throw new Error("nothing was refused");
}

describe("bad options of createEngine", () => {
  it.each(OPTIONS)("%s", async (_name, options, code, message) => {
    const error = await failure(() => checkSettings(checkEngineOptions(options).cache));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it("what settings make together is refused before a model is opened", async () => {
    for (const cache of [{ policy: "lru" }, { budget: 64, window: 64 }] as CacheOptions[])
      expect((await failure(() => openFake({ cache }))).message).toMatch(/^cache\./);
  });

  it("a model that will not fit is refused in bytes, before its download", async () => {
    const entry = findModel(DEFAULT_MODEL);
    const needed = entry.bytes + 30 * 3 * 512 * (2 * 64 * 2 + 8);
    expect(() => checkMemory(entry, { budget: 512 }, needed)).not.toThrow();
    const error = await failure(() => checkMemory(entry, { budget: 512 }, needed - 1));
    expect(error.code).toBe("out_of_memory");
    expect(error.message).toContain(`needs ${needed} bytes`);
    expect(error.details).toMatchObject({ needed, memoryLimit: needed - 1 });
  });

  it("a model whose windows keep the cache small is not refused for a large budget", async () => {
    const entry = findModel("gemma-3-270m-it");
    const needed = entry.needs[2048];
    expect(() => checkMemory(entry, { budget: 2048 }, needed)).not.toThrow();
    const error = await failure(() => checkMemory(entry, { budget: 2048 }, needed - 1));
    expect(error.message).toContain(`needs ${needed} bytes`);
  });

  it("layers kept whole count to the last position, and there are no more than the model has", async () => {
    const entry = findModel(DEFAULT_MODEL);
    const slot = 3 * (2 * 64 * 2 + 8);
    const needed = entry.bytes + (28 * 512 + 2 * entry.contextLength) * slot;
    expect(() => checkMemory(entry, { budget: 512, wholeLayers: 2 }, needed)).not.toThrow();
    const error = await failure(() =>
      checkMemory(entry, { budget: 512, wholeLayers: 2 }, needed - 1),
    );
    expect(error.message).toContain(`needs ${needed} bytes`);
    const many = await failure(() => checkMemory(entry, { wholeLayers: 31 }, undefined));
    expect(many.message).toMatch(/cache.wholeLayers: must be at most 30/);
  });
});

describe("bad requests lose nothing", () => {
  let engine: EngineClient;
  let fake: FakeEngine;
  let seen: number;
  beforeAll(async () => {
    ({ engine, fake } = await openFake());
    await engine.chat.completions.create({ messages: [{ role: "user", content: "hi" }] });
    seen = engine.cache.usage().tokensSeen;
  });

  it.each(REQUESTS)("%s", async (_name, request, code, message) => {
    const before = fake.log.length;
    const create = engine.chat.completions.create.bind(engine.chat.completions) as (
      r: unknown,
    ) => Promise<unknown>;
    const error = await failure(() => create(request));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    // Nothing reached the engine, and the conversation is as it was.
    expect(fake.log).toHaveLength(before);
    expect(engine.cache.usage().tokensSeen).toBe(seen);
  });

  it.each([
    [
      "an unknown request option",
      { sgnal: 1 },
      /^options.sgnal: unknown option; allowed are signal, conversation/,
    ],
    [
      "a conversation without a name",
      { conversation: "" },
      /^options.conversation: must be a string/,
    ],
    ["a signal that is none", { signal: 1 }, /^options.signal: must be an AbortSignal/],
  ])("%s", async (_name, options, message) => {
    const create = engine.chat.completions.create.bind(engine.chat.completions) as (
      r: unknown,
      o: unknown,
    ) => Promise<unknown>;
    const error = await failure(() => create({ messages }, options));
    expect(error).toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(message),
    });
  });

  it("bad cache settings leave the cache as it was", async () => {
    const before = engine.cache.usage();
    for (const cache of [{ budget: 0 }, { window: 600 }, { policy: "lru" }, { budgt: 1 }, null]) {
      const configure = engine.cache.configure as (c: unknown) => Promise<unknown>;
      expect((await failure(() => configure(cache))).code).toBe("invalid_argument");
    }
    expect(engine.cache.usage()).toEqual(before);
  });

  it("and the next good request is answered", async () => {
    const answer = await engine.chat.completions.create({
      messages: [{ role: "user", content: "hi" }],
    });
    expect(answer.choices[0].message.content).toBe("hello");
  });
});

describe("bad model files", () => {
  it.each(FILES)("%s", async (_name, file, code, message) => {
    const source = new BlobSource(new Blob([file as Uint8Array<ArrayBuffer>]), "bad.gguf");
    const error = await failure(async () => configOf(await parseGguf(source)));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.hint).not.toBe("");
  });

  it("filters that are no safetensors file", async () => {
    const error = await failure(() => readFilters(new Uint8Array(64)));
    expect(error.code).toBe("bad_filters");
    expect(error.message).toMatch(/filters/);
  });
});

describe("bad command lines: status 1, one line on stderr, nothing on stdout", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-bad-"));
  const model = join(folder, "tiny.gguf");
  const damaged = join(folder, "damaged.gguf");
  const text = join(folder, "text.txt");
  beforeAll(() => {
    writeFileSync(model, tinyModel("f32"));
    writeFileSync(damaged, "GGUF, but not really");
    writeFileSync(text, "Some text.");
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each<[string, () => string[], RegExp]>([
    [
      "an unknown command",
      () => ["dance"],
      /dance: is no command; there are generate, read, logits/,
    ],
    [
      "an unknown flag",
      () => ["generate", "--model", model, "--prompt", "a", "--sed", "1"],
      /Unknown option '--sed'.*--seed/,
    ],
    ["a flag without its value", () => ["generate", "--model", model, "--prompt"], /--prompt/],
    [
      "a flag given twice",
      () => ["generate", "--model", model, "--prompt", "a", "--seed", "1", "--seed", "2"],
      /--seed: is given more than once/,
    ],
    [
      "words that belong to no flag",
      () => ["generate", "--model", model, "--prompt", "a", "b"],
      /does not take "b"/,
    ],
    [
      "a model nobody knows",
      () => ["generate", "--model", "gpt-9", "--prompt", "a"],
      /no model is called "gpt-9".*smollm2/,
    ],
    [
      "a model file that is not there",
      () => ["generate", "--model", "/nowhere/x.gguf", "--prompt", "a"],
      /\/nowhere\/x\.gguf/,
    ],
    [
      "a damaged model file",
      () => ["tokenize", "--model", damaged, "--text", "a"],
      /damaged\.gguf/,
    ],
    [
      "a budget in words",
      () => ["ppl", "--model", model, "--text", text, "--tokens", "3", "--budget", "big"],
      /--budget: must be an integer from 1 to \d+, not "big"/,
    ],
    [
      "a window beyond the budget",
      () => [
        "ppl",
        "--model",
        model,
        "--text",
        text,
        "--tokens",
        "3",
        "--budget",
        "8",
        "--window",
        "9",
      ],
      /--budget: 8 pairs leave no room/,
    ],
    [
      "half a whole layer",
      () => ["ppl", "--model", model, "--text", text, "--tokens", "3", "--whole-layers", "0.5"],
      /--whole-layers: must be an integer from 0/,
    ],
    [
      "more layers kept whole than there may be anywhere",
      () => ["logits", "--model", model, "--tokens", "3", "--whole-layers", "99999999"],
      /--whole-layers: must be an integer from 0 to 16777216/,
    ],
    [
      "an unknown policy",
      () => ["ppl", "--model", model, "--text", text, "--tokens", "3", "--policy", "lru"],
      /--policy: must be one of/,
    ],
    [
      "an unknown storage of pages",
      () => ["ppl", "--model", model, "--text", text, "--tokens", "3", "--kv", "q4"],
      /--kv: must be one of "f16", "q8", "f32", not "q4"/,
    ],
    [
      "an unknown host",
      () => ["ppl", "--model", model, "--host", "firefox"],
      /--host: must be one of node, chromium/,
    ],
    [
      "a text that is not there",
      () => ["ppl", "--model", model, "--text", "/nowhere", "--tokens", "3"],
      /--text: \/nowhere could not be read/,
    ],
    [
      "one token to predict nothing from",
      () => ["ppl", "--model", model, "--text", text, "--tokens", "1"],
      /--tokens: must be an integer from 2/,
    ],
    [
      "ids that are no numbers",
      () => ["logits", "--model", model, "--tokens", "1,x"],
      /--tokens: must be token ids with commas between/,
    ],
    [
      "a question at another time",
      () => ["needle", "--model", model, "--text", text, "--context", "99", "--ask", "before"],
      /--ask: must be one of in, after/,
    ],
    [
      "calibration without a place to write",
      () => ["calibrate", "--model", model, "--text", text],
      /--out: is required/,
    ],
    [
      "calibration without a text",
      () => ["calibrate", "--model", model, "--out", "f"],
      /--text: is required/,
    ],
  ])("%s", async (_name, args, message) => {
    const { status, stdout, stderr } = await winnow(...args());
    expect(status).toBe(1);
    expect(stdout).toBe("");
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).toMatch(/^winnow: /);
    expect(stderr).toMatch(message);
  });
});
