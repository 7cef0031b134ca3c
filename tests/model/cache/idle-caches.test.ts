import { expect, test } from "vitest";
import { ask, someTokens } from "../chat.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";

/** Each chat's prompt shares nothing with the others'. */
const promptOf = (chat: number): number[] => someTokens(40, 100 + chat);

test("200 chats within a limit: idle caches give way, the one used longest ago first", async () => {
  const probe = await loadTinyEngine({ budget: 64 });
  for (let chat = 0; chat < 5; chat += 1)
    await ask(probe.conversation(`${chat}`), promptOf(chat), { maxTokens: 3 });
  const memoryLimit = probe.memory().total + 100_000;
  await probe.close();

  const engine = await loadTinyEngine({ budget: 64 }, { memoryLimit });
  const first = engine.conversation("0");
  const { answer } = await ask(first, promptOf(0), { maxTokens: 3 });
  const gone = new Set<string>();
  for (let chat = 1; chat < 200; chat += 1) {
    await ask(engine.conversation(`${chat}`), promptOf(chat), { maxTokens: 3 });
    expect(engine.memory().total).toBeLessThanOrEqual(memoryLimit);
    checkCache(engine);
    for (const name of engine.takeGaveWay()) gone.add(name);
    // One that is used now and then stays.
    const kept = await ask(engine.conversation("1"), [...promptOf(1), chat + 3], { maxTokens: 1 });
    expect(kept.result?.cachedTokens).toBeGreaterThan(0);
  }
  expect(gone.has("0")).toBe(true);
  expect(gone.has("1")).toBe(false);
  expect(gone.has("199")).toBe(false);
  expect(gone.size).toBeGreaterThan(150);
  expect(first.usage()).toMatchObject({ tokensSeen: 0, pairsKept: 0, bytes: 0 });
  // A chat whose cache gave way is read again, and answers as before.
  const again = await ask(first, promptOf(0), { maxTokens: 3 });
  expect(again.result?.cachedTokens).toBe(0);
  expect(again.answer).toEqual(answer);
  const last = await ask(engine.conversation("199"), [...promptOf(199), 5], { maxTokens: 1 });
  expect(last.result?.cachedTokens).toBe(40);
  await engine.close();
});

test("without a limit idle caches are bounded in number and in bytes", async () => {
  const engine = await loadTinyEngine({ budget: 64 });
  const { pool } = engine.internals.state;
  for (let chat = 0; chat < 70; chat += 1)
    await ask(engine.conversation(`${chat}`), promptOf(chat), { maxTokens: 1 });
  expect(pool.maxLanes).toBe(64);
  expect(engine.takeGaveWay()).toEqual(["0", "1", "2", "3", "4", "5"]);
  checkCache(engine);
  const bytes = () => pool.allocators.reduce((sum, { used }) => sum + used, 0) * pool.pageBytes;
  const each = engine.conversation("69").usage().bytes;
  for (let chat = 0; chat < 70; chat += 1) await engine.conversation(`${chat}`).reset();
  // The tables go with the last chat.
  expect(pool.maxLanes).toBe(1);
  pool.keptBytes = 10 * each;
  for (let chat = 70; chat < 90; chat += 1) {
    await ask(engine.conversation(`${chat}`), promptOf(chat), { maxTokens: 1 });
    checkCache(engine);
  }
  expect(bytes()).toBeLessThanOrEqual(pool.keptBytes);
  const alive = Array.from({ length: 90 }, (_, chat) => engine.conversation(`${chat}`).usage());
  expect(alive.findIndex(({ tokensSeen }) => tokensSeen > 0)).toBeGreaterThanOrEqual(79);
  await engine.close();
});

test("what is in use never gives way: the forked, the configured, the answering", async () => {
  const engine = await loadTinyEngine({ budget: "full" });
  Object.assign(engine.tokenizer, { endTokens: new Set() });
  const { pool } = engine.internals.state;
  const alone = await ask(engine.conversation("alone"), promptOf(1), { maxTokens: 30 });
  await engine.conversation("alone").reset();
  const other = await ask(engine.conversation("other"), promptOf(2), { maxTokens: 30 });
  // Room for nothing but what somebody uses.
  pool.keptBytes = 0;
  const both = await Promise.all(
    [1, 2].map((chat) => ask(engine.conversation(`${chat}`), promptOf(chat), { maxTokens: 30 })),
  );
  expect(both.map(({ answer }) => answer)).toEqual([alone.answer, other.answer]);
  expect(engine.conversation("other").usage().tokensSeen).toBe(0);
  checkCache(engine);
  await engine.fork("1", "fork");
  const more = [...engine.conversation("fork").tokens, ...someTokens(5, 9)];
  const { result } = await ask(engine.conversation("fork"), more, { maxTokens: 3 });
  expect(result?.cachedTokens).toBe(69);
  await engine.conversation("fork").configure({ budget: 64 });
  expect(engine.conversation("fork").usage()).toMatchObject({ tokensSeen: 76, budget: 64 });
  checkCache(engine);
  await engine.close();
});

test("a fork onto a chat that answers is refused and changes nothing", async () => {
  const engine = await loadTinyEngine({ budget: "full" });
  for (const name of ["a", "b"])
    await ask(engine.conversation(name), promptOf(1), { maxTokens: 2 });
  const tokens = [...engine.conversation("b").tokens];
  await ask(engine.conversation("a"), [...promptOf(1), 5], {
    maxTokens: 3,
    onToken: async (_, count) => {
      if (count === 1) {
        await expect(engine.fork("a", "b")).rejects.toMatchObject({ code: "busy" });
        await expect(engine.fork("b", "a")).rejects.toMatchObject({ code: "busy" });
      }
      return undefined;
    },
  });
  expect(engine.conversation("b").tokens).toEqual(tokens);
  checkCache(engine);
  await engine.close();
});
