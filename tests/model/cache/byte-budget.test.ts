import { expect, test } from "vitest";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";

/** Bytes of the slabs, each of which the ledger knows, without pages that nobody uses. */
function slabBytes(engine: Awaited<ReturnType<typeof loadTinyEngine>>): number {
  const { pool } = engine.internals.state;
  pool.trim();
  checkCache(engine);
  return engine.memory().kv - pool.tables.size - pool.lanes.size;
}

test.each(["f16", "q8", "f32"] as const)(
  "a cache bound in bytes fills them within a page per head, and never takes more: %s",
  async (kv) => {
    const bytes = 70_000;
    const engine = await loadTinyEngine({ bytes, kv });
    const { heads, pairBytes } = engine.info().cache;
    const page = 32 * pairBytes + 4;
    const chat = engine.conversation("a");
    let most = 0;
    const watch = () => {
      most = Math.max(most, chat.usage().bytes);
      return undefined;
    };
    await ask(chat, someTokens(600, 61), { maxTokens: 40, onToken: watch, onPrefill: watch });
    chat.place.forgetMarks();
    const { budget, budgetBytes, bytes: used } = chat.usage();
    expect(most).toBe(used);
    expect(used).toBe(budgetBytes);
    expect(used).toBeLessThanOrEqual(bytes);
    expect(bytes - used).toBeLessThan(heads * page);
    expect(slabBytes(engine)).toBeLessThanOrEqual(bytes);
    expect(bytes - slabBytes(engine)).toBeLessThan(heads * page + heads * 300);

    // Pairs take the place of bytes, and bytes that of pairs; both at once are refused before anything is asked.
    await chat.configure({ budget: 32 });
    expect(chat.usage()).toMatchObject({ budget: 32 });
    expect(slabBytes(engine)).toBe(heads * 32 * pairBytes);
    await chat.configure({ bytes });
    expect(chat.usage()).toMatchObject({ budget, budgetBytes });
    await ask(chat, [...chat.tokens, ...someTokens(500, 62)], { maxTokens: 3 });
    expect(chat.usage().bytes).toBe(used);
    const few = chat.configure({ bytes: 500 });
    await expect(few).rejects.toMatchObject({ code: "invalid_argument" });
    expect(chat.usage()).toMatchObject({ budget });
    await chat.configure({ budget: "full", policy: "full" });
    expect(chat.usage()).toMatchObject({ budget: "full", budgetBytes: "full" });
    await engine.close();
  },
);

test("a saved chat keeps the bound in bytes that was asked for", async () => {
  const engine = await loadTinyEngine({ bytes: 70_000 });
  const chat = engine.conversation("a");
  await ask(chat, someTokens(300, 63), { maxTokens: 3 });
  const file = await engine.save("a");
  const bytes = new Uint8Array(await file.arrayBuffer());
  await engine.load("b", new MemorySource(bytes, "chat.winnow"));
  expect(engine.conversation("b").asked).toMatchObject({ bytes: 70_000 });
  expect(engine.conversation("b").usage().budget).toBe(chat.usage().budget);
  await engine.close();
});

test("where none is named the budget is the model's own, or what memory has room for", async () => {
  const source = new MemorySource(tinyModel("f32"), "tiny.gguf");
  const roomy = await loadTinyEngine({}, { source, budget: 1024 });
  expect(roomy.conversation("a").usage().budget).toBe(1024);
  expect(roomy.info().notices.join()).not.toContain("pairs per head");
  const { total } = roomy.memory();
  await roomy.close();
  const memoryLimit = total + 4 * 300 * 136;
  const tight = await loadTinyEngine({}, { source, budget: 1024, memoryLimit });
  const { budget } = tight.conversation("a").usage();
  expect([64, 128, 256, 512]).toContain(budget);
  expect(tight.info().notices).toContain(
    `The cache keeps ${budget} pairs per head, since the memory limit leaves no room for 1024.`,
  );
  await tight.close();
  const named = loadTinyEngine({ budget: 1024 }, { source, memoryLimit });
  await expect(named).rejects.toMatchObject({ code: "out_of_memory" });
});
