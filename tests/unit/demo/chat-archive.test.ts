import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ChatArchive } from "../../../demo/state/chats/chat-archive.ts";
import { searchChats } from "../../../demo/state/chats/chat-search.ts";
import {
  type ChatEntry,
  type ChatRecord,
  DEFAULT_ANSWERS,
  titleOf,
} from "../../../demo/state/chats/chat-types.ts";
import { MemoryDatabase } from "./memory-database.ts";

const record = (id: string, updated = 0, title = id): ChatRecord => ({
  id,
  title,
  named: false,
  created: 0,
  updated,
  answers: DEFAULT_ANSWERS,
  cache: {},
});
const entry = (id: number, text: string): ChatEntry => ({ id, role: "user", text, status: "done" });
const quota = (): Error => new DOMException("no room", "QuotaExceededError");

let database: MemoryDatabase;
let archive: ChatArchive;
beforeEach(() => {
  vi.useFakeTimers();
  database = new MemoryDatabase();
  archive = new ChatArchive(database);
});
afterEach(() => {
  vi.useRealTimers();
});

it("writes many changes soon, at once, and tells which chats", async () => {
  const told: string[][] = [];
  archive.onWritten = (chats) => told.push([...chats]);
  archive.putChat(record("a"));
  for (const text of ["T", "Th", "The"]) archive.putEntry("a", entry(1, text));
  expect((await archive.entries("a"))[0]!.text).toBe("The");
  expect(database.messages.size).toBe(0);
  await vi.runAllTimersAsync();
  expect(database.messages.get("a/1")!.text).toBe("The");
  expect(database.writes).toBe(1);
  expect(told).toEqual([["a"]]);
  expect(archive.unsaved).toBe(false);
});

it("loses nothing where the storage is full, says so, and writes all of it once there is room", async () => {
  archive.putChat(record("a"));
  archive.putEntry("a", entry(1, "kept"));
  await archive.flush();
  database.failure = quota();
  archive.putEntry("a", entry(2, "not written yet"));
  archive.putChat(record("b", 5));
  await archive.flush();
  expect(archive.trouble).toMatchObject({ kind: "full", reason: "no room" });
  expect(archive.unsaved).toBe(true);
  database.failure = null;
  expect((await archive.entries("a")).map(({ text }) => text)).toEqual(["kept", "not written yet"]);
  expect((await archive.chats()).map(({ id }) => id)).toEqual(["b", "a"]);
  expect(database.messages.size).toBe(1);
  await archive.flush();
  expect(archive.trouble).toBeNull();
  expect(database.messages.size).toBe(2);
});

it("keeps chats in this tab where the browser refuses a database", async () => {
  database.failure = new DOMException("not allowed here", "InvalidStateError");
  archive.putChat(record("a"));
  archive.putEntry("a", entry(1, "still here"));
  await archive.flush();
  expect(archive.trouble).toMatchObject({ kind: "refused" });
  expect((await archive.chats()).map(({ id }) => id)).toEqual(["a"]);
  expect((await archive.entries("a"))[0]!.text).toBe("still here");
});

it("removes a chat with its messages, also those that wait, and takes it back", async () => {
  archive.putChat(record("a"));
  archive.putEntry("a", entry(1, "one"));
  await archive.flush();
  archive.putEntry("a", entry(2, "two"));
  const entries = await archive.entries("a");
  archive.removeChat("a");
  expect(await archive.chats()).toEqual([]);
  expect(await archive.entries("a")).toEqual([]);
  await archive.flush();
  expect(database.messages.size).toBe(0);
  archive.putChat(record("a"));
  for (const back of entries) archive.putEntry("a", back);
  await archive.flush();
  expect(await archive.entries("a")).toEqual(entries);
});

it("does not lose what changes while it writes", async () => {
  archive.putEntry("a", entry(1, "first"));
  const writing = archive.flush();
  archive.putEntry("a", entry(1, "second"));
  await writing;
  expect((await archive.entries("a"))[0]!.text).toBe("second");
  await archive.flush();
  expect(database.messages.get("a/1")!.text).toBe("second");
});

it("finds chats by words of their titles, messages and documents, in any case", async () => {
  const chats = [
    record("a", 2, "Wheat and wind"),
    record("b", 1, "Other"),
    record("c", 0, "Third"),
  ];
  archive.putEntry("b", entry(1, `${"x".repeat(200)} The WIND blows over the wheat.`));
  archive.putEntry("c", {
    ...entry(1, "Sum it up"),
    attachments: [{ name: "field.pdf", kind: "PDF", text: "Spelt, not wheat." }],
  });
  const ids = async (query: string) =>
    (await searchChats(archive, chats, query)).map(({ id }) => id);
  expect(await ids("wheat wind")).toEqual(["a", "b"]);
  expect(await ids("SPELT")).toEqual(["c"]);
  expect(await ids("field.pdf")).toEqual(["c"]);
  expect(await ids("barley")).toEqual([]);
  expect(await ids("  ")).toEqual(["a", "b", "c"]);
  const [, found] = await searchChats(archive, chats, "wind");
  expect(found!.excerpt).toMatch(/^…x+ The WIND blows over the wheat\.$/);
});

it("titles a chat by its first line, cut between words", () => {
  expect(titleOf("  Why is the\tsky blue?\nAnd more")).toBe("Why is the sky blue?");
  expect(titleOf("word ".repeat(40))).toMatch(/^(word ){11}word…$/);
  expect(titleOf("x".repeat(100))).toBe(`${"x".repeat(60)}…`);
});
