import type { CacheOptions } from "../../../src/api/types.ts";
import type { CacheStore } from "../cache-store.ts";
import type { ChatStore } from "../chat-store.ts";
import { Store } from "../store.ts";
import type { ChatArchive } from "./chat-archive.ts";
import type { ChatLock } from "./chat-lock.ts";
import {
  asStored,
  type Chat,
  type ChatEntry,
  type ChatRecord,
  DEFAULT_ANSWERS,
  titleOf,
  titleOfEntries,
} from "./chat-types.ts";
import type { OtherTabs } from "./other-tabs.ts";

/** mine: this tab writes the chat. elsewhere: another tab does. free: the other tab has let go of it. */
export type ChatAccess = "mine" | "elsewhere" | "free";

export interface ChatsParts {
  chat: ChatStore;
  cache: CacheStore;
  archive: ChatArchive;
  lock: ChatLock;
  tabs: OtherTabs;
  /** Which chat this tab had open, over a reload. */
  remembered: { get(): string | null; set(chat: string): void };
}

/** The list of chats, and the one that is open: it is written to the archive as it changes. */
export class ChatsStore extends Store {
  /** Last used first. A chat without messages is not in it. */
  list: readonly ChatRecord[] = [];
  opened: ChatRecord = newRecord();
  access: ChatAccess = "mine";
  /** What was deleted last, to bring it back. */
  deleted: Chat | null = null;
  /** A chat that could not be changed, since another tab has it open. */
  refused: ChatRecord | null = null;
  readonly #parts: ChatsParts;
  /** Entries that the archive has been given. */
  #saved: readonly ChatEntry[] = [];
  #switching = false;
  #waiting = new AbortController();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: ChatsParts) {
    super();
    this.#parts = parts;
    const { chat, cache, archive, tabs } = parts;
    chat.open(this.opened.id, [], this.opened.answers);
    chat.subscribe(() => this.#sync());
    cache.subscribe(() => this.#sync());
    archive.onWritten = (chats) => tabs.tell(chats);
    tabs.onNews = (chats) => void this.#onNews(chats);
  }

  /** Shows the list, and the chat that this tab had open before a reload. */
  async start(): Promise<void> {
    this.list = await this.#parts.archive.chats();
    this.changed();
    const last = this.#parts.remembered.get();
    await this.open(this.list.find(({ id }) => id === last) ?? this.opened);
  }

  /** Ends the answer under way, and shows this chat. */
  open(record: ChatRecord): Promise<void> {
    return this.#inTurn(async () => {
      const { chat, cache, archive, lock, remembered } = this.#parts;
      await chat.quiet();
      this.#sync();
      this.#waiting.abort();
      const mine = await lock.take(record.id);
      const entries = await archive.entries(record.id);
      const current = (await archive.chat(record.id)) ?? record;
      // What was asked meanwhile belongs to the chat that is left; from here on nothing is awaited.
      await chat.quiet();
      this.#sync();
      this.#switching = true;
      this.access = mine ? "mine" : "elsewhere";
      this.opened = current;
      this.#saved = entries;
      chat.open(current.id, mine ? entries.map(asStored) : entries, current.answers);
      cache.open(current.id, current.cache);
      remembered.set(current.id);
      this.#switching = false;
      if (mine) this.#sync();
      else this.#waitForOther();
      this.changed();
    });
  }

  /** An empty chat with the settings of the one that is open. */
  create(): Promise<void> {
    const { answers, cache } = this.opened;
    return this.open({ ...newRecord(), answers, cache });
  }

  /** Makes a chat of another tab this tab's, once that has let go of it. */
  async takeOver(): Promise<void> {
    await this.open(this.opened);
  }

  async rename(record: ChatRecord, title: string): Promise<void> {
    const name = titleOf(title);
    if (name === "" || name === record.title) return;
    await this.#change(record, async () => this.#put({ ...record, title: name, named: true }));
  }

  /** The chat goes at once, and `restore` brings it back. */
  async remove(record: ChatRecord): Promise<void> {
    const { chat, archive } = this.#parts;
    const open = record.id === this.opened.id;
    if (open) await chat.quiet();
    await this.#change(record, async () => {
      this.#sync();
      this.deleted = { record, entries: await archive.entries(record.id) };
      this.#switching = open;
      archive.removeChat(record.id);
      this.list = this.list.filter(({ id }) => id !== record.id);
      await chat.forget(record.id);
    });
    if (open && this.refused === null) await this.create();
  }

  /** Brings back what was deleted last. */
  async restore(): Promise<void> {
    const { deleted } = this;
    if (deleted === null) return;
    this.deleted = null;
    this.add([deleted]);
    await this.open(deleted.record);
  }

  /** Puts chats in the list and into the archive; none of their ids may be there. */
  add(chats: readonly Chat[]): void {
    const { archive } = this.#parts;
    for (const { record, entries } of chats) {
      archive.putChat(record);
      for (const entry of entries) archive.putEntry(record.id, entry);
    }
    const added = chats.map(({ record }) => record);
    this.list = [...added, ...this.list].sort((a, b) => b.updated - a.updated);
    this.changed();
  }

  forgetDeleted(): void {
    this.deleted = null;
    this.changed();
  }

  get #writable(): boolean {
    return this.access === "mine";
  }

  /** What has changed of the open chat goes to the archive. */
  #sync(): void {
    const { chat, cache, archive } = this.#parts;
    if (this.#switching || !this.#writable || chat.id !== this.opened.id) return;
    const { entries, settings } = chat;
    const grown = entries.length !== this.#saved.length;
    const before = new Map(this.#saved.map((entry) => [entry.id, entry]));
    for (const entry of entries) {
      if (before.get(entry.id) !== entry) archive.putEntry(chat.id, entry);
      before.delete(entry.id);
    }
    for (const id of before.keys()) archive.removeEntry(chat.id, id);
    this.#saved = entries;
    const { opened } = this;
    if (same(cache.chosen, opened.cache) && !grown && settings === opened.answers) return;
    const next: ChatRecord = {
      ...opened,
      title: opened.named ? opened.title : titleOfEntries(entries) || opened.title,
      answers: settings,
      cache: cache.chosen,
      updated: grown ? Date.now() : opened.updated,
    };
    // A chat without a message is not kept yet.
    if (entries.length === 0 && !this.list.some(({ id }) => id === chat.id)) this.opened = next;
    else this.#put(next);
  }

  #put(record: ChatRecord): void {
    this.#parts.archive.putChat(record);
    if (record.id === this.opened.id) this.opened = record;
    this.#show(record.id, record);
    this.changed();
  }

  /** Changes a chat, unless another tab has it open: then that is said. */
  async #change(record: ChatRecord, change: () => Promise<void>): Promise<void> {
    const { lock, archive } = this.#parts;
    const done = await lock.during(record.id, async () => {
      await change();
      await archive.flush();
    });
    this.refused = done ? null : record;
    this.changed();
  }

  #waitForOther(): void {
    this.#waiting = new AbortController();
    const { signal } = this.#waiting;
    const { id } = this.opened;
    const freed = (): void => {
      if (signal.aborted || this.opened.id !== id) return;
      this.access = "free";
      this.changed();
    };
    this.#parts.lock.free(id, signal).then(freed, () => {});
  }

  /** Another tab has written these chats. */
  async #onNews(chats: ReadonlySet<string>): Promise<void> {
    for (const id of chats) await this.#reread(id);
    const { id } = this.opened;
    if (this.#writable || !chats.has(id)) return;
    const record = this.list.find((other) => other.id === id);
    if (record === undefined) return this.create();
    const entries = await this.#parts.archive.entries(id);
    if (this.opened.id !== id || this.#writable) return;
    this.opened = record;
    this.#saved = entries;
    this.#parts.chat.open(id, entries, record.answers);
    this.changed();
  }

  /** Puts one record into the list as the archive has it. */
  async #reread(id: string): Promise<void> {
    const record = await this.#parts.archive.chat(id);
    const shown = this.list.find((other) => other.id === id);
    if (JSON.stringify(record) === JSON.stringify(shown)) return;
    this.#show(id, record);
    this.changed();
  }

  /** Last used first. */
  #show(id: string, record: ChatRecord | undefined): void {
    const others = this.list.filter((other) => other.id !== id);
    const list = record === undefined ? others : [record, ...others];
    this.list = list.sort((a, b) => b.updated - a.updated);
  }

  /** One switch at a time. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(step);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

const same = (a: CacheOptions, b: CacheOptions): boolean =>
  a === b || JSON.stringify(a) === JSON.stringify(b);

/** An empty chat with settings that nobody has chosen. */
export function newRecord(): ChatRecord {
  const now = Date.now();
  return {
    id: crypto.randomUUID(),
    title: "New chat",
    named: false,
    created: now,
    updated: now,
    answers: DEFAULT_ANSWERS,
    cache: {},
  };
}
