import { beforeEach, expect, it } from "vitest";
import { CacheStore } from "../../../demo/state/cache-store.ts";
import { ChatStore } from "../../../demo/state/chat-store.ts";
import type { CacheFiles } from "../../../demo/state/chats/cache-files.ts";
import { CacheKeeper } from "../../../demo/state/chats/cache-keeper.ts";
import { ChatArchive } from "../../../demo/state/chats/chat-archive.ts";
import type { ChatLock } from "../../../demo/state/chats/chat-lock.ts";
import { ChatsStore } from "../../../demo/state/chats/chats-store.ts";
import type { OtherTabs } from "../../../demo/state/chats/other-tabs.ts";
import { NoticeStore } from "../../../demo/state/notices.ts";
import type { Engine } from "../../../src/api/types.ts";
import { MemoryDatabase } from "./memory-database.ts";

/** Saves in the order in which they began, and how many of them have ended. */
let saved: string[];
let written: string[];
/** Ends the save under way. */
let go: () => void;
let chat: ChatStore;
let cache: CacheStore;
let chats: ChatsStore;
let keeper: CacheKeeper;
let tabs: { onNews: (chats: ReadonlySet<string>) => void; tell(): void };
let database: MemoryDatabase;

/** Answers with the words of the question, one after another, until it is stopped. */
function engineOf(): Engine {
  const usage = { tokensSeen: 1, budget: 512, policy: "winnow", window: 24, sinks: 4 };
  return {
    cache: {
      usage: () => ({ ...usage, pairsKept: 1, pairsEvicted: 0, bytes: 1, bytesUncompressed: 1 }),
      configure: async () => usage,
      retention: async () => ({ heads: 1, tokens: [], kept: [] }),
      reset: async () => undefined,
      save: ({ conversation }: { conversation: string }) => {
        saved.push(conversation);
        return new Promise((resolve) => {
          go = () => resolve(new Blob([conversation]));
        });
      },
    },
    memory: () => ({ weights: 0, kv: 0, activations: 0, staging: 0, total: 0 }),
    info: () => ({ notices: [] }),
    chat: {
      completions: {
        create: async ({ messages }: { messages: { content: string }[] }) =>
          (async function* () {
            for (const content of messages.at(-1)!.content.split(" "))
              yield { choices: [{ delta: { content }, finish_reason: null }] };
          })(),
      },
    },
  } as unknown as Engine;
}

const files = {
  read: async () => null,
  write: async (name: string) => void written.push(name),
  remove: async (name: string) => void written.push(`-${name}`),
} as unknown as CacheFiles;

beforeEach(async () => {
  globalThis.document ??= { hidden: true } as Document;
  [saved, written, go] = [[], [], () => {}];
  [chat, cache] = [new ChatStore(), new CacheStore()];
  database = new MemoryDatabase();
  tabs = { onNews: () => {}, tell: () => {} };
  chats = new ChatsStore({
    chat,
    cache,
    archive: new ChatArchive(database),
    lock: {
      take: async () => true,
      during: async (_: string, change: () => Promise<void>) => change().then(() => true),
    } as unknown as ChatLock,
    tabs: tabs as unknown as OtherTabs,
    remembered: { get: () => null, set: () => {} },
  });
  keeper = new CacheKeeper({ chat, chats, cache, files, notices: new NoticeStore() });
  const engine = engineOf();
  chat.attach(engine);
  cache.attach(engine);
  await chats.start();
  keeper.attach(engine);
});

const ask = async (text: string): Promise<string> => {
  chat.send(text);
  await chat.quiet();
  return chat.id;
};
const turns = () => new Promise((resolve) => setTimeout(resolve, 20));

it("saves once after an answer, however often the chat is left", async () => {
  const id = await ask("one two");
  await turns();
  expect(saved).toEqual([id]);
  // Left while that save is under way: nothing has changed since it began.
  const left = keeper.leave();
  void keeper.leave();
  go();
  await left;
  expect([saved, written]).toEqual([[id], [id]]);
});

it("puts a later save in the place of one that has not begun", async () => {
  const first = await ask("one");
  await turns();
  await chats.create();
  const second = await ask("two");
  await ask("three");
  await ask("four");
  await turns();
  expect(saved).toEqual([first]);
  go();
  await turns();
  expect(saved).toEqual([first, second]);
  go();
  await turns();
  expect([saved, written]).toEqual([
    [first, second],
    [first, second],
  ]);
});

it("saves a chat whose settings have changed when another one is opened, and none that is as it was", async () => {
  const id = await ask("one");
  await turns();
  go();
  await turns();
  await chats.create();
  await turns();
  expect(saved).toEqual([id]);
  await chats.open(chats.list[0]!);
  cache.request({ budget: 64 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await chats.create();
  await turns();
  expect(saved).toEqual([id, id]);
});

it("does not save a chat that was deleted before its turn came", async () => {
  const first = await ask("one");
  await turns();
  await chats.create();
  const second = await ask("two");
  keeper.forget(second);
  go();
  await turns();
  expect(saved).toEqual([first]);
  expect(written).toEqual([first, `-${second}`]);
});

it("reads the record that another tab has changed, and no other", async () => {
  const record = (id: string, title: string, updated: number) => ({
    ...chats.opened,
    id,
    title,
    updated,
  });
  const reads: string[] = [];
  const { chat: one, chats: all } = database;
  database.chat = (id) => {
    reads.push(id);
    return one.call(database, id);
  };
  database.chats = () => {
    reads.push("all");
    return all.call(database);
  };
  let told = 0;
  chats.subscribe(() => told++);
  database.records.set("a", record("a", "Rye", 5)).set("b", record("b", "Oats", 6));
  tabs.onNews(new Set(["a"]));
  await turns();
  expect(chats.list.map(({ title }) => title)).toEqual(["Rye"]);
  expect([reads, told]).toEqual([["a"], 1]);
  // What streams changes no record: nothing is shown anew.
  tabs.onNews(new Set(["a"]));
  await turns();
  expect([reads, told]).toEqual([["a", "a"], 1]);
  tabs.onNews(new Set(["b"]));
  await turns();
  expect(chats.list.map(({ title }) => title)).toEqual(["Oats", "Rye"]);
  database.records.delete("a");
  tabs.onNews(new Set(["a"]));
  await turns();
  expect(chats.list.map(({ title }) => title)).toEqual(["Oats"]);
});
