import { expect, it } from "vitest";
import type { Chat } from "../../../demo/state/chats/chat-types.ts";
import { readChatFile, writeChatFile } from "../../../demo/state/chats/file/chat-file.ts";

const CHAT: Chat = {
  record: {
    id: "one",
    title: "Wheat",
    named: true,
    created: Date.UTC(2026, 10, 1),
    updated: Date.UTC(2026, 10, 2),
    answers: { system: "Be brief.", temperature: 0.2, maxTokens: 64 },
    cache: { budget: 128, policy: "q-filters" },
  },
  entries: [
    {
      id: 1,
      role: "user",
      text: "What is it about?",
      status: "done",
      attachments: [{ name: "a.txt", kind: "text", text: "Wheat \u{1f33e}\n</script>" }],
    },
    {
      id: 2,
      role: "assistant",
      text: "Wheat.",
      status: "done",
      finish: "stop",
      firstTokenS: 0.5,
      usage: {
        prompt_tokens: 20,
        completion_tokens: 2,
        total_tokens: 22,
        prompt_tokens_details: { cached_tokens: 0 },
        extra: { prefill_tokens_per_s: 9, decode_tokens_per_s: 8, time_to_first_token_s: 0.5 },
      },
    },
    {
      id: 4,
      role: "assistant",
      text: "half",
      status: "failed",
      error: { code: "device_lost", message: "gone", hint: "again" },
    },
  ],
};

const fileOf = (value: unknown): Blob =>
  new Blob([typeof value === "string" ? value : JSON.stringify(value)]);
const parsed = async (): Promise<Record<string, unknown>> =>
  JSON.parse(await writeChatFile([CHAT]).text());

it("reads what it wrote, under new ids each time", async () => {
  const file = writeChatFile([CHAT, CHAT]);
  const first = await readChatFile(file);
  const second = await readChatFile(file);
  const ids = [...first, ...second].map(({ record }) => record.id);
  expect(new Set(ids).size).toBe(4);
  for (const { record, entries } of first) {
    expect({ ...record, id: "one" }).toEqual(CHAT.record);
    expect(entries).toEqual(CHAT.entries.map((entry, i) => ({ ...entry, id: i + 1 })));
  }
  expect(await parsed()).toMatchObject({ format: "winnow-chats", version: 1 });
  expect((await readChatFile(writeChatFile([]))).length).toBe(0);
});

it("writes an answer under way as stopped", async () => {
  const entries = [{ ...CHAT.entries[1]!, status: "streaming" as const }];
  const [chat] = await readChatFile(writeChatFile([{ ...CHAT, entries }]));
  expect(chat!.entries[0]!.status).toBe("stopped");
});

it("needs no more than titles, dates and texts, and passes over what it does not know", async () => {
  const [chat] = await readChatFile(
    fileOf({
      format: "winnow-chats",
      version: 1,
      app: "another",
      chats: [
        {
          title: "Mine",
          created: "2026-01-01T00:00:00Z",
          colour: "red",
          messages: [{ role: "user", text: "", mood: 3 }],
        },
      ],
    }),
  );
  expect(chat!.record).toMatchObject({ title: "Mine", named: false, cache: {} });
  expect(chat!.record.answers).toEqual({ system: "", temperature: 0.7, maxTokens: 512 });
  expect(chat!.entries).toEqual([{ id: 1, role: "user", text: "", status: "done" }]);
});

/** The file with the value at a path of the first chat replaced. */
async function broken(path: string, value: unknown): Promise<Blob> {
  const file = await parsed();
  const names = path.split(".");
  let at = (file.chats as Record<string, unknown>[])[0]!;
  for (const name of names.slice(0, -1)) at = at[name] as Record<string, unknown>;
  at[names.at(-1)!] = value;
  return fileOf(file);
}

it.each([
  ["title", 7, "chats[0].title: must be a string"],
  ["created", "yesterday-ish", "chats[0].created: must be a date"],
  ["created", "+999999-01-01T00:00:00Z", "chats[0].created"],
  ["updated", { $date: 1 }, "chats[0].updated"],
  ["temperature", 1e9, "chats[0].temperature: must be a number from 0 to 5"],
  ["maxTokens", 1.5, "chats[0].maxTokens"],
  ["system", ["a"], "chats[0].system: must be a text, not an array of 1"],
  ["cache", { policy: "magic" }, "chats[0].cache.policy: must be one of"],
  ["cache", { budget: -1 }, "chats[0].cache.budget"],
  ["cache", "full", "chats[0].cache: must be an object"],
  ["messages", { length: 2 }, "chats[0].messages: must be a list"],
  ["messages.0", null, "chats[0].messages[0]: must be an object"],
  ["messages.1.role", "system", 'chats[0].messages[1].role: must be one of "user", "assistant"'],
  ["messages.1.text", undefined, "chats[0].messages[1].text: must be a text"],
  ["messages.1.status", "streaming", "chats[0].messages[1].status"],
  ["messages.1.usage", {}, "chats[0].messages[1].usage.prompt_tokens"],
  ["messages.1.usage.extra", 3, "chats[0].messages[1].usage.extra: must be an object"],
  [
    "messages.0.attachments",
    [{ name: "a", kind: "b" }],
    "chats[0].messages[0].attachments[0].text",
  ],
  ["messages.2.error", { code: "odd" }, "chats[0].messages[2].error.code"],
])("says what is wrong with %s = %j, and where", async (path, value, said) => {
  await expect(readChatFile(await broken(path, value))).rejects.toMatchObject({
    name: "WinnowError",
    code: "invalid_argument",
    message: expect.stringContaining(said),
  });
});

it.each([
  ["", "not JSON"],
  ["PK\u0003\u0004", "not JSON"],
  ["[".repeat(200_000), "not JSON"],
  ["null", "must be an object"],
  ["[]", "must be an object"],
  ['{"format":"other"}', "no file of chats"],
  ['{"format":"winnow-chats"}', "version"],
  ['{"format":"winnow-chats","version":2,"chats":[]}', "format version 2"],
  ['{"format":"winnow-chats","version":1}', "chats: must be a list"],
])("refuses the file %.40j", async (text, said) => {
  await expect(readChatFile(fileOf(text))).rejects.toMatchObject({
    code: "invalid_argument",
    message: expect.stringContaining(said),
    hint: expect.stringMatching(/./),
  });
});

it("refuses a file that is larger than a text can be, before it takes it as one", async () => {
  const piece = { arrayBuffer: async () => new Uint8Array(64).fill(32).buffer };
  const huge = { size: 500e6, slice: () => piece } as unknown as Blob;
  await expect(readChatFile(huge)).rejects.toMatchObject({ code: "invalid_argument" });
});

it("takes no object apart that would change others", async () => {
  const text = (await writeChatFile([CHAT]).text()).replace(
    '"title":',
    '"__proto__": {"polluted": 1}, "title":',
  );
  await readChatFile(fileOf(text));
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

it("carries what was read of chats behind the JSON, each beside its own chat", async () => {
  const read = (text: string): Blob => new Blob([new Uint8Array([0, 1, 0]), text]);
  const file = writeChatFile([
    { ...CHAT, read: read("one") },
    CHAT,
    { ...CHAT, read: read("three") },
  ]);
  const chats = await readChatFile(file);
  const texts = await Promise.all(chats.map(({ read }) => read?.slice(3).text()));
  expect(texts).toEqual(["one", undefined, "three"]);
  expect(chats[1]).not.toHaveProperty("read");
  expect(chats[0]).not.toHaveProperty("bytes");
  const cut = readChatFile(file.slice(0, file.size - 1));
  await expect(cut).rejects.toThrow("chats[2].read: the file is cut short: 8 bytes belong here");
  const bytes = (await writeChatFile([CHAT]).text()).replace('"title"', '"read": -1, "title"');
  await expect(readChatFile(fileOf(bytes))).rejects.toThrow(/chats\[0\]\.read: must be/);
});
