import { expect, test } from "vitest";
import { create } from "webgpu";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { footprint } from "../../../src/engine/memory/footprint.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { findTensors } from "../../../src/model/tensors.ts";
import { configOf } from "../../reference/tiny-model/config-of.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";
import { watchedGpu } from "../watched-gpu.ts";

test("memory() is what is alive on the device, from loading to closing", async () => {
  const watched = watchedGpu();
  const engine = await loadTinyEngine({ budget: 100 }, { gpu: watched.gpu });
  const check = (): void => {
    const { weights, kv, activations, staging, total } = engine.memory();
    expect(total).toBe(watched.bytes());
    expect(weights + kv + activations + staging).toBe(total);
    expect(engine.buffersCreated).toBe(watched.made());
    checkCache(engine);
  };
  check();
  const idle = engine.memory();
  expect(idle.staging).toBe(0);

  const chat = engine.conversation("a");
  let inside = 0;
  const { answer } = await ask(chat, someTokens(300, 51), {
    maxTokens: 12,
    onToken: () => {
      check();
      inside = engine.memory().activations;
      return undefined;
    },
    onPrefill: check,
  });
  check();
  // States to go back to are kept as long as there is room, and are no part of the plan.
  expect(engine.memory().kv).toBeGreaterThan(idle.kv);
  chat.place.forgetMarks();
  engine.internals.state.pool.trim();
  check();
  // What a request needs is freed with it; a conversation keeps one row of the residual stream.
  expect(inside).toBeGreaterThan(idle.activations);
  const row = 4 * engine.internals.config.hidden;
  expect(engine.memory()).toMatchObject({ activations: idle.activations + row, staging: 0 });
  expect(engine.memory().weights).toBe(idle.weights);
  const source = new MemorySource(tinyModel("f32"), "tiny.gguf");
  const gguf = await parseGguf(source);
  const config = configOf(gguf);
  // What stands in for winnow without a fitted score, of which the plan cannot know.
  const settings = resolveCacheSettings({ budget: 100, policy: "q-filters" });
  const plan = footprint(findTensors(source, gguf, config), config, settings);
  expect(plan.weights).toBe(idle.weights);
  // The plan leaves out uniforms and tables, a few kB.
  expect(Math.abs(plan.activations - inside)).toBeLessThan(16_384);
  expect(Math.abs(plan.kv - engine.memory().kv)).toBeLessThan(16_384);

  for (const budget of [50, 400, "full", 33] as const) {
    await chat.configure({ budget });
    check();
    await ask(chat, [...chat.tokens, ...answer], { maxTokens: 3 });
    check();
  }
  await chat.retention();
  check();
  await engine.fork("a", "b");
  check();
  await ask(engine.conversation("b"), [...chat.tokens, 9], { maxTokens: 3 });
  check();
  await chat.nll(someTokens(150, 52), { chunk: 128 });
  check();
  await chat.logits(someTokens(20, 53));
  check();
  for await (const _ of engine.captureHeads(someTokens(140, 54)));
  check();
  const aborted = ask(engine.conversation("c"), someTokens(10), { signal: AbortSignal.abort() });
  await expect(aborted).rejects.toMatchObject({ code: "aborted" });
  check();
  const controller = new AbortController();
  const stopped = ask(engine.conversation("c"), someTokens(300), {
    signal: controller.signal,
    onPrefill: () => controller.abort(),
  });
  await expect(stopped).rejects.toMatchObject({ code: "aborted" });
  check();
  for (const name of ["a", "b", "c"]) {
    await engine.conversation(name).reset();
    check();
  }
  // The head for several rows, made when losses are first asked for, keeps one uniform.
  expect(engine.memory()).toMatchObject({ activations: idle.activations + 32, staging: 0 });
  // Four lanes of page-table rows, and a page a layer that every slab keeps.
  expect(engine.memory().kv).toBeLessThan(idle.kv + 16_384);

  await engine.close();
  expect(watched.bytes()).toBe(0);
  expect(engine.memory().total).toBe(0);
  expect(() => engine.conversation("a")).toThrow(expect.objectContaining({ code: "closed" }));
  const closed = expect.objectContaining({ code: "closed" });
  await expect(ask(chat, someTokens(3))).rejects.toEqual(closed);
  await expect(chat.configure({ budget: 64 })).rejects.toEqual(closed);
  await expect(chat.retention()).rejects.toEqual(closed);
  expect(watched.bytes()).toBe(0);
});

test("a decode at its budget makes no buffer", async () => {
  const engine = await loadTinyEngine({ budget: 64 });
  Object.assign(engine.tokenizer, { endTokens: new Set() });
  const chat = engine.conversation("a");
  let before = 0;
  let memory = {};
  const { answer } = await ask(chat, someTokens(60, 55), {
    maxTokens: 120,
    onToken: (_, count) => {
      if (count === 20) {
        before = engine.buffersCreated;
        memory = engine.memory();
      } else if (count > 20) {
        expect(engine.buffersCreated).toBe(before);
        expect(engine.memory()).toEqual(memory);
      }
      return undefined;
    },
  });
  expect(answer).toHaveLength(120);
  await engine.close();
});

test("a failed load leaves nothing behind", async () => {
  const watched = watchedGpu();
  const damaged = new MemorySource(tinyModel("f32").slice(0, -4000), "tiny.gguf");
  const failed = loadTinyEngine({}, { gpu: watched.gpu, source: damaged });
  await expect(failed).rejects.toMatchObject({ code: "bad_model_file" });
  expect(watched.bytes()).toBe(0);
  const aborted = loadTinyEngine({}, { gpu: watched.gpu, signal: AbortSignal.abort() });
  await expect(aborted).rejects.toMatchObject({ code: "aborted" });
  expect(watched.bytes()).toBe(0);
});

test("closing in mid-answer ends it with closed and frees everything", async () => {
  const watched = watchedGpu(create([]));
  const engine = await loadTinyEngine({ budget: 64 }, { gpu: watched.gpu });
  const answering = ask(engine.conversation("a"), someTokens(20), {
    maxTokens: 1000,
    onToken: async (_, count) => {
      if (count === 5) await engine.close();
      return undefined;
    },
  });
  await expect(answering).rejects.toMatchObject({ code: "closed" });
  expect(watched.bytes()).toBe(0);
});
