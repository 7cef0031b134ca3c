/** What may go wrong while a chat is saved or loaded: the chat that is there stays whole, and nothing stays allocated. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { create } from "webgpu";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import type { ByteSource } from "../../../src/formats/byte-source.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";
import { watchedGpu } from "../watched-gpu.ts";

const TINY = { name: "tiny", sha256: "" };
const CACHE = { budget: 48, policy: "q-filters" } as const;
const READ = someTokens(200, 4);
const OTHER = someTokens(150, 5);

const bytesOf = async (chat: Conversation): Promise<Uint8Array> =>
  new Uint8Array(await (await chat.save(TINY)).arrayBuffer());

/** The file, where something happens before its read with this number, from 1 on. */
function watchedFile(bytes: Uint8Array, number: number, happens: () => void): ByteSource {
  const source = new MemorySource(bytes, "chat.winnow");
  let reads = 0;
  return {
    name: source.name,
    size: source.size,
    read: (offset, length, signal) => {
      reads += 1;
      if (reads === number) happens();
      return source.read(offset, length, signal);
    },
  };
}

/** Start of the file, header, counts, tokens, last row, and the first of two layers: the second layer's pages. */
const LAST_READ = 7;

const pagesUsed = (engine: InferenceEngine): number =>
  engine.internals.state.pool.allocators.reduce((sum, { used }) => sum + used, 0);

describe("a chat that is loaded or saved", () => {
  let engine: InferenceEngine;
  /** A file of READ and 20 tokens of an answer, and how the chat goes on. */
  let file: Uint8Array;
  let next: number[];
  let expected: number[];

  beforeAll(async () => {
    engine = await loadTinyEngine(CACHE);
    Object.assign(engine.tokenizer, { endTokens: new Set() });
    const chat = freshChat(engine);
    const { answer } = await ask(chat, READ, { maxTokens: 20 });
    file = await bytesOf(chat);
    next = [...READ, ...answer, ...someTokens(7, 6)];
    expected = (await ask(chat, next, { maxTokens: 20 })).answer;
    await chat.reset();
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(engine));

  /** A chat of its own that has said something, and a check that it is as it was. */
  async function present(): Promise<{ chat: Conversation; stays: () => Promise<void> }> {
    const chat = freshChat(engine);
    const { answer } = await ask(chat, OTHER, { maxTokens: 10 });
    const [usage, pages] = [chat.usage(), pagesUsed(engine)];
    const copy = chat.fork();
    const more = [...OTHER, ...answer, ...someTokens(5, 7)];
    const wanted = (await ask(copy, more, { maxTokens: 20 })).answer;
    await copy.reset();
    const stays = async (): Promise<void> => {
      expect(chat.usage()).toEqual(usage);
      // What it could go back to may be of use by now, or not be there any more.
      expect(pagesUsed(engine)).toBeLessThanOrEqual(pages);
      const { answer, result } = await ask(chat, more, { maxTokens: 20 });
      expect(result?.cachedTokens).toBe(OTHER.length + 10 - 1);
      expect(answer).toEqual(wanted);
      await chat.reset();
    };
    return { chat, stays };
  }

  const goesOn = async (chat: Conversation): Promise<void> => {
    const { answer, result } = await ask(chat, next, { maxTokens: 20 });
    expect(result?.cachedTokens).toBe(READ.length + 20 - 1);
    expect(answer).toEqual(expected);
  };

  test.each([1, 2, 3, 4, 5, 6, LAST_READ])(
    "stays as it is where loading is aborted at read %i",
    async (number) => {
      const { chat, stays } = await present();
      const abort = new AbortController();
      const source = watchedFile(file, number, () => abort.abort());
      await expect(chat.load(source, TINY, abort.signal)).rejects.toMatchObject({
        code: "aborted",
      });
      await stays();
    },
  );

  test("stays as it is where the last layer's pages are damaged", async () => {
    const { chat, stays } = await present();
    const damaged = file.slice();
    // Keys of the last page, none of whose slots' pairs is a number then.
    damaged.fill(0xff, damaged.length - engine.internals.state.pool.pageBytes);
    const loading = chat.load(new MemorySource(damaged, "chat.winnow"), TINY);
    await expect(loading).rejects.toMatchObject({ code: "bad_cache_file" });
    await stays();
  });

  test("stays as it is where saving is aborted between two layers, and can be saved again", async () => {
    const { chat, stays } = await present();
    const abort = new AbortController();
    const { gpu } = engine.internals.state;
    const { map } = gpu;
    let maps = 0;
    gpu.map = (...given) => {
      maps += 1;
      // The remainders come first, then the layers.
      if (maps === 2) abort.abort();
      return map.apply(gpu, given);
    };
    try {
      await expect(chat.save(TINY, abort.signal)).rejects.toMatchObject({ code: "aborted" });
    } finally {
      gpu.map = map;
    }
    expect(maps).toBe(2);
    expect((await chat.save(TINY)).size).toBeGreaterThan(1000);
    await stays();
  });

  test("answers on while another load of it, a reset or a save is refused", async () => {
    const { chat, stays } = await present();
    const copy = chat.fork();
    const load = () => copy.load(new MemorySource(file), TINY);
    await ask(copy, [...OTHER, ...someTokens(4, 3)], {
      maxTokens: 5,
      onToken: async (_, count) => {
        if (count === 2) await expect(load()).rejects.toMatchObject({ code: "busy" });
        return false;
      },
    });
    let refused: Promise<unknown> = Promise.resolve();
    const source = watchedFile(file, 4, () => {
      refused = Promise.allSettled([load(), copy.save(TINY), copy.reset(), ask(copy, READ)]);
    });
    await copy.load(source, TINY);
    expect(await refused).toMatchObject(
      Array.from({ length: 4 }, () => ({ status: "rejected", reason: { code: "busy" } })),
    );
    await goesOn(copy);
    await copy.reset();
    await stays();
  });

  test("two chats are loaded at once", async () => {
    const { chat } = await present();
    await chat.reset();
    const before = pagesUsed(engine);
    const other = engine.conversation("another");
    const load = (into: Conversation) => into.load(new MemorySource(file), TINY);
    await Promise.all([load(chat), load(other)]);
    await goesOn(chat);
    await goesOn(other);
    await chat.reset();
    await other.reset();
    expect(pagesUsed(engine)).toBe(before);
  });

  test("what was there before, and could be gone back to, is freed with a load", async () => {
    const { chat } = await present();
    await ask(chat, [...OTHER, ...someTokens(20, 8)], { maxTokens: 20 });
    await chat.load(new MemorySource(file), TINY);
    const spare = [...engine.internals.holders].filter((holder) => holder.spare);
    expect(spare).toEqual([]);
    await goesOn(chat);
    await chat.reset();
  });

  test("a prompt that is given up in the middle of a block leaves the chat as it was, which can be saved", async () => {
    const { chat, stays } = await present();
    const abort = new AbortController();
    let told = 0;
    const reading = ask(chat, [...chat.tokens, ...someTokens(400, 9)], {
      signal: abort.signal,
      onPrefill: () => {
        told += 1;
        abort.abort();
      },
    });
    await expect(reading).rejects.toMatchObject({ code: "aborted" });
    expect(told).toBeGreaterThan(0);
    const saved = await bytesOf(chat);
    const loaded = freshChat(engine);
    await loaded.load(new MemorySource(saved), TINY);
    expect(loaded.tokens).toEqual(chat.tokens);
    expect(loaded.usage()).toEqual(chat.usage());
    await loaded.reset();
    // It is as it was before that prompt.
    await stays();
  });
});

test("a load that memory has no room for leaves the present chat whole", async () => {
  const roomy = await loadTinyEngine(CACHE);
  Object.assign(roomy.tokenizer, { endTokens: new Set() });
  const big = roomy.conversation("big");
  await big.configure({ budget: 1024 });
  await ask(big, someTokens(900, 3), { maxTokens: 4 });
  const file = await bytesOf(big);
  await big.reset();
  const turns = async (engine: InferenceEngine, between: (chat: Conversation) => Promise<void>) => {
    const chat = engine.conversation("small");
    const { answer } = await ask(chat, OTHER, { maxTokens: 10 });
    await between(chat);
    return ask(chat, [...OTHER, ...answer, ...someTokens(6, 2)], { maxTokens: 20 });
  };
  const expected = await turns(roomy, async () => {});
  const memoryLimit = roomy.memory().total + 8 * roomy.internals.state.pool.pageBytes;
  await roomy.close();
  const tight = await loadTinyEngine(CACHE, { memoryLimit });
  Object.assign(tight.tokenizer, { endTokens: new Set() });
  const found = await turns(tight, async (chat) => {
    const loading = chat.load(new MemorySource(file, "chat.winnow"), TINY);
    await expect(loading).rejects.toMatchObject({ code: "out_of_memory" });
    checkCache(tight);
  });
  expect(found).toEqual(expected);
  expect(found.result?.cachedTokens).toBe(OTHER.length + 9);
  await tight.close();
});

describe("a device that is lost", () => {
  let watched: ReturnType<typeof watchedGpu>;
  let engine: InferenceEngine;
  beforeEach(async () => {
    watched = watchedGpu(create([]));
    engine = await loadTinyEngine(CACHE, { gpu: watched.gpu });
    Object.assign(engine.tokenizer, { endTokens: new Set() });
  });
  afterEach(() => engine?.close());

  test("at the last read of a load is replaced, and the chat is loaded on the new one", async () => {
    const chat = engine.conversation("a");
    const { answer } = await ask(chat, READ, { maxTokens: 20 });
    const next = [...READ, ...answer, ...someTokens(7, 6)];
    const file = await bytesOf(chat);
    const expected = (await ask(chat, next, { maxTokens: 20 })).answer;
    const source = watchedFile(file, LAST_READ, () => watched.device().destroy());
    const loaded = engine.conversation("b");
    await loaded.load(source, TINY);
    const found = await ask(loaded, next, { maxTokens: 20 });
    expect(found.result?.cachedTokens).toBe(READ.length + 19);
    expect(found.answer).toEqual(expected);
    expect(watched.devices()).toBe(2);
    checkCache(engine);
    expect(engine.memory().total).toBe(watched.bytes());
  });

  test("in the middle of saving takes the chat with it, and that is said", async () => {
    const chat = engine.conversation("a");
    await ask(chat, READ, { maxTokens: 20 });
    const saving = chat.save(TINY);
    watched.device().destroy();
    await expect(saving).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("nothing of it is in the cache"),
      hint: expect.stringContaining("lost with the device"),
    });
    // It is read again, and then saved.
    await ask(chat, [...READ, 5], { maxTokens: 2 });
    expect((await chat.save(TINY)).size).toBeGreaterThan(1000);
    checkCache(engine);
  });

  test("an engine that is closed at the last read of a load says so", async () => {
    const chat = engine.conversation("a");
    await ask(chat, READ, { maxTokens: 20 });
    const source = watchedFile(await bytesOf(chat), LAST_READ, () => void engine.close());
    const loading = engine.conversation("b").load(source, TINY);
    await expect(loading).rejects.toMatchObject({ code: "closed" });
  });
});
