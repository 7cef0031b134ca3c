import { describe, expect, it, vi } from "vitest";
import type { ReadProgress } from "../../../src/api/types.ts";
import type { CompletionModel } from "../../../src/api/worker/answering.ts";
import { runRequest } from "../../../src/api/worker/completion.ts";
import { Reading } from "../../../src/api/worker/reading.ts";
import type { GenerateOptions } from "../../../src/engine/chat/generate-options.ts";
import { WinnowError } from "../../../src/errors.ts";
import { openFake } from "./api-fake-engine.ts";

const messages = [{ role: "user" as const, content: "x".repeat(1000) }];
/** One token a byte. */
const TOKENS = "<user><assistant>".length + 1000;

function clocked(): { told: ReadProgress[]; reading: Reading; pass: (ms: number) => void } {
  const told: ReadProgress[] = [];
  let now = 5000;
  const reading = new Reading(
    (progress) => void told.push(progress),
    () => now,
  );
  return {
    told,
    reading,
    pass: (ms) => {
      now += ms;
    },
  };
}

describe("how far a prompt is read", () => {
  it("counts what the GPU is through with, and estimates by the pace per token", () => {
    const { told, reading, pass } = clocked();
    // A block is slow, the chunks behind it are not: tokens count, not calls.
    for (const [submitted, ms] of [
      [1000, 10_000],
      [1100, 500],
      [1200, 500],
    ] as const) {
      reading.update(submitted, 1200);
      pass(ms);
    }
    reading.end();
    expect(told).toEqual([
      { read: 0, total: 1200, secondsLeft: undefined },
      { read: 1000, total: 1200, secondsLeft: expect.closeTo(2) },
      { read: 1100, total: 1200, secondsLeft: expect.closeTo((10.5 / 1100) * 100) },
      { read: 1200, total: 1200, secondsLeft: 0 },
    ]);
  });

  it("tells it ten times a second at most, and the end always", () => {
    const { told, reading, pass } = clocked();
    for (let submitted = 1; submitted <= 1000; submitted += 1) {
      reading.update(submitted, 1000);
      pass(1);
    }
    reading.end();
    expect(told.length).toBeLessThanOrEqual(11);
    expect(told.at(-1)).toEqual({ read: 1000, total: 1000, secondsLeft: 0 });
  });

  it("begins anew where the device was lost", () => {
    const { told, reading, pass } = clocked();
    for (const submitted of [100, 200, 100, 200]) {
      reading.update(submitted, 300);
      pass(1000);
    }
    expect(told.map(({ read }) => read)).toEqual([0, 100, 0, 100]);
    expect(told.at(-1)!.secondsLeft).toBeCloseTo(2);
  });
});

describe("onProgress of a request", () => {
  it.each([false, true])(
    "tells a long prompt from its beginning to its end, stream: %s",
    async (stream) => {
      const { engine, fake } = await openFake();
      fake.contextLength = 4000;
      fake.chunk = { tokens: 64, milliseconds: 20 };
      const told: ReadProgress[] = [];
      const onProgress = (progress: ReadProgress): void => void told.push(progress);
      const answer = await engine.chat.completions.create({ messages, stream }, { onProgress });
      if (Symbol.asyncIterator in answer) for await (const _ of answer);
      expect(told[0]).toEqual({ read: 0, total: TOKENS, secondsLeft: undefined });
      expect(told.at(-1)).toEqual({ read: TOKENS, total: TOKENS, secondsLeft: 0 });
      expect(told.length).toBeGreaterThan(3);
      // 16 chunks of 20 ms.
      expect(told.length).toBeLessThan(10);
      expect(told[1]!.secondsLeft).toBeGreaterThan(0);
    },
  );

  it("leaves out what the cache has seen", async () => {
    const { engine, fake } = await openFake();
    fake.contextLength = 4000;
    await engine.chat.completions.create({ messages, max_tokens: 1 });
    const next = [
      ...messages,
      { role: "assistant" as const, content: "h" },
      { role: "user" as const, content: "y" },
    ];
    const told: ReadProgress[] = [];
    const onProgress = (progress: ReadProgress): void => void told.push(progress);
    await engine.chat.completions.create({ messages: next }, { onProgress });
    const total = "<user>y<assistant>".length;
    expect(told.map((progress) => [progress.read, progress.total])).toEqual([
      [0, total],
      [total, total],
    ]);
  });

  it("an abort while it is read ends the reading", async () => {
    const { engine, fake } = await openFake();
    fake.contextLength = 4000;
    fake.chunk = { tokens: 1, milliseconds: 5 };
    const abort = new AbortController();
    const told: number[] = [];
    const answer = engine.chat.completions.create(
      { messages },
      {
        signal: abort.signal,
        onProgress: ({ read }) => {
          told.push(read);
          abort.abort();
        },
      },
    );
    await expect(answer).rejects.toMatchObject({ code: "aborted" });
    expect(told).toEqual([0]);
    expect(fake.log.filter((line) => line.startsWith("left"))).toEqual([]);
  });

  it.each(["yes", 1, {}])("is a function, not %j", async (onProgress) => {
    const { engine } = await openFake();
    await expect(
      engine.chat.completions.create({ messages }, { onProgress: onProgress as never }),
    ).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("options.onProgress"),
    });
  });

  it("in the request itself is refused with where it belongs", async () => {
    const { engine } = await openFake();
    await expect(
      engine.chat.completions.create({ messages, onProgress: () => {} } as never),
    ).rejects.toThrow("second argument");
  });

  it("that throws stops nothing, and its error is shown", async () => {
    const shown: (() => void)[] = [];
    vi.spyOn(globalThis, "queueMicrotask").mockImplementation((show) => void shown.push(show));
    try {
      const { engine, fake } = await openFake();
      fake.contextLength = 4000;
      const onProgress = (): void => {
        throw new Error("boom");
      };
      const answer = await engine.chat.completions.create({ messages }, { onProgress });
      expect(answer.choices[0].message.content).toBe("hello");
      expect(shown.length).toBeGreaterThan(0);
      for (const show of shown) expect(show).toThrow("boom");
    } finally {
      vi.restoreAllMocks();
    }
  });
});

describe("what a chat is said to have read", () => {
  it("is the request whose prompt the cache has begun to read, also where it ends before any text", async () => {
    const chat = {
      endless: true,
      messages: [{ role: "user" as const, content: "an earlier one" }],
      // biome-ignore lint/correctness/useYield: it ends before a token.
      async *generate(_: readonly number[], { onPrefill }: GenerateOptions) {
        onPrefill?.(128, 1000);
        throw new WinnowError("aborted", "left");
      },
    };
    const model = {
      contextLength: 100,
      tokenizer: {},
      template: { source: "", encode: () => [1, 2, 3], stop: [] },
      conversation: () => chat,
    } as unknown as CompletionModel;
    const request = { messages, stop: [], sampling: {}, maxTokens: 1 } as never;
    const hooks = { onDeltas: () => {}, signal: new AbortController().signal };
    await expect(runRequest(model, "a", request, hooks)).rejects.toMatchObject({ code: "aborted" });
    expect(chat.messages).toEqual(messages);
  });
});
