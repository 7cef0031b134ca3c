import { expect, test } from "vitest";
import type { TuningStore } from "../../../src/model/tuning.ts";
import { ask, someTokens } from "../chat.ts";
import { loadTinyEngine } from "../tiny-engine.ts";

const memory = (): TuningStore & { kept: Map<string, string> } => {
  const kept = new Map<string, string>();
  return {
    kept,
    read: async (key) => kept.get(key),
    write: async (key, value) => void kept.set(key, value),
  };
};

const answerOf = async (options: Parameters<typeof loadTinyEngine>[1]) => {
  const engine = await loadTinyEngine({}, options);
  try {
    const { answer } = await ask(engine.conversation("a"), someTokens(40, 3), { maxTokens: 12 });
    return {
      answer,
      tuning: engine.info().tuning,
      kernels: engine.info().kernels,
      memory: engine.memory(),
    };
  } finally {
    await engine.close();
  }
};

test("measures once, says what each variant took, remembers, and changes no answer", async () => {
  const store = memory();
  const plain = await answerOf({});
  expect(plain.tuning).toMatchObject({ mode: "off", source: "adapter", timings: [], seconds: 0 });
  const first = await answerOf({ tuning: "fast", tuningStore: store });
  expect(first.tuning).toMatchObject({ mode: "fast", source: "measured" });
  expect(first.tuning.seconds).toBeGreaterThan(0);
  const { row, tile } = first.tuning.plan;
  expect(Object.values(first.kernels).every((variant) => variant.endsWith(`${row}, ${tile}`))).toBe(
    true,
  );
  expect([...store.kept.values()]).toEqual([JSON.stringify({ row, tile })]);
  expect(first.answer).toEqual(plain.answer);
  // Nothing of the measuring stays allocated but uniforms of shapes.
  expect(first.memory.staging).toBe(plain.memory.staging);
  const second = await answerOf({ tuning: "fast", tuningStore: store });
  expect(second.tuning).toMatchObject({ source: "remembered", plan: { row, tile } });
  expect(second.answer).toEqual(plain.answer);
  // A plan that is told is followed.
  const [key] = [...store.kept.keys()];
  store.kept.set(key!, JSON.stringify({ row: "split-k", tile: "4x4/64" }));
  const told = await answerOf({ tuning: "fast", tuningStore: store });
  expect(told.tuning.plan).toEqual({ row: "split-k", tile: "4x4/64" });
  expect(told.answer).toEqual(plain.answer);
});

// Each measures anew, which takes many seconds on a software adapter.
test.each(["nonsense", '{"row":"rows","tile":"9x9/1"}'])(
  "a store that holds %s is measured over",
  async (text) => {
    const store: TuningStore = { read: async () => text, write: async () => {} };
    expect((await answerOf({ tuning: "fast", tuningStore: store })).tuning.source).toBe("measured");
  },
);

test("a store that never answers, nor takes anything, is done without", async () => {
  const read = () => new Promise<never>(() => {});
  const store: TuningStore = { read, write: () => Promise.reject(new Error("no")) };
  expect((await answerOf({ tuning: "fast", tuningStore: store })).tuning.source).toBe("measured");
});
