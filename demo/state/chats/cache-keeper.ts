import type { Engine } from "../../../src/api/types.ts";
import { asWinnowError } from "../../../src/errors.ts";
import type { CacheStore } from "../cache-store.ts";
import type { ChatStore } from "../chat-store.ts";
import type { NoticeStore } from "../notices.ts";
import type { CacheFiles } from "./cache-files.ts";
import type { ChatsStore } from "./chats-store.ts";

export interface KeeperParts {
  chat: ChatStore;
  chats: ChatsStore;
  cache: CacheStore;
  files: CacheFiles;
  notices: NoticeStore;
}

/**
 * Saves what the engine has read of a chat when an answer ends and when the chat is left, and gives it back when the
 * chat is opened, so that nothing is read again. A cache is an extra: where it is missing, or not of this model, the
 * chat is read again with the next question.
 */
export class CacheKeeper {
  readonly #parts: KeeperParts;
  #engine: Engine | null = null;
  /** The chat that the engine was last given the cache of. */
  #resumed = "";
  /** The chat that is open, and the settings of its cache. */
  #open = { id: "", settings: "" };
  #wasAnswering = false;
  /** Chats whose cache has changed since it was saved. */
  readonly #changed = new Set<string>();
  /** The save of each chat that has not begun: the next one takes its place. */
  readonly #waiting = new Map<string, symbol>();
  #running: Promise<void> = Promise.resolve();

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    parts.chat.subscribe(() => this.#onChat());
    parts.cache.subscribe(() => this.#watch());
    parts.chats.subscribe(() => {
      this.#watch();
      this.#resume();
    });
  }

  attach(engine: Engine | null): void {
    this.#engine = engine;
    this.#resumed = "";
    this.#resume();
  }

  /** To be called when the tab is hidden or closed, or before the engine goes: resolves once all is saved. */
  async leave(): Promise<void> {
    this.#saveSoon(this.#open.id);
    await this.#running;
  }

  /** What is kept of a chat, as it is now; null where there is nothing. */
  async fileOf(chat: string): Promise<Blob | null> {
    this.#saveSoon(chat);
    await this.#running;
    return this.#parts.files.read(chat).catch(() => null);
  }

  /** Keeps a file of what was read for a chat that is new. */
  async keep(chat: string, file: Blob): Promise<void> {
    this.#then(() => this.#write(chat, async () => file));
    await this.#running;
  }

  /** Deletes what is kept of a chat, once nothing is written of it any more. */
  forget(chat: string): void {
    this.#changed.delete(chat);
    this.#waiting.delete(chat);
    this.#then(() => this.#parts.files.remove(chat).catch(() => undefined));
  }

  /** The same of all chats. */
  async forgetAll(): Promise<void> {
    this.#changed.clear();
    this.#waiting.clear();
    this.#then(() => this.#parts.files.clear().catch(() => undefined));
    await this.#running;
  }

  #onChat(): void {
    const { answering, id } = this.#parts.chat;
    const ended = this.#wasAnswering && !answering;
    this.#wasAnswering = answering;
    if (answering) this.#changed.add(id);
    if (ended) this.#saveSoon(id);
  }

  /** Sees that another chat is opened, or that the settings of this one's cache change: pairs may be gone then. */
  #watch(): void {
    const { chat, cache, chats } = this.#parts;
    const { id } = chats.opened;
    if (chat.id !== id) return;
    const before = this.#open;
    this.#open = { id, settings: JSON.stringify(cache.chosen) };
    if (before.id !== id) this.#saveSoon(before.id);
    else if (before.settings !== this.#open.settings && chats.access === "mine")
      this.#changed.add(id);
  }

  /** Saves a chat whose cache has changed, unless it is being answered: that ends with a save of its own. */
  #saveSoon(chat: string): void {
    const { chat: page } = this.#parts;
    if (!this.#changed.has(chat) || (page.id === chat && page.answering)) return;
    const turn = Symbol();
    this.#waiting.set(chat, turn);
    this.#then(async () => {
      if (this.#waiting.get(chat) !== turn) return;
      this.#waiting.delete(chat);
      this.#changed.delete(chat);
      await this.#save(chat);
    });
  }

  async #save(chat: string): Promise<void> {
    const engine = this.#engine;
    if (engine === null) return;
    await this.#write(chat, () => engine.cache.save({ conversation: chat }));
  }

  async #write(chat: string, file: () => Promise<Blob>): Promise<void> {
    try {
      await this.#parts.files.write(chat, await file());
    } catch (thrown) {
      // What is there is older than the chat. It may be of use, but not where there is no room.
      if ((thrown as Error).name !== "QuotaExceededError") return;
      await this.#parts.files.remove(chat).catch(() => undefined);
      this.#say("There is no room to keep what the model has read: this chat will be read again.");
    }
  }

  /** Once per chat and engine, if the engine has nothing of the chat. */
  #resume(): void {
    const { chat, chats } = this.#parts;
    const { id } = chats.opened;
    if (this.#engine === null || chats.access !== "mine" || this.#resumed === id) return;
    if (chat.id !== id) return;
    this.#resumed = id;
    this.#then(() => this.#load(id));
  }

  async #load(chat: string): Promise<void> {
    const engine = this.#engine;
    const { files, cache, chats, chat: page } = this.#parts;
    if (engine === null || engine.cache.usage({ conversation: chat }).tokensSeen > 0) return;
    const file = await files.read(chat).catch(() => null);
    if (file === null) return;
    try {
      await engine.cache.load(file, { conversation: chat });
      // The file has the settings of its time; the chat's own are those that count.
      if (chats.opened.id !== chat) return;
      cache.open(chat, chats.opened.cache);
      // A question may have been sent meanwhile.
      if (page.answering) cache.watch(true);
    } catch (thrown) {
      const { code } = asWinnowError(thrown);
      if (code !== "bad_cache_file") return;
      // It stays until the next answer replaces it: the model that it is of may be loaded again before that.
      this.#say(
        "What was kept of this chat is not of this model: it is read again with your next message.",
      );
    }
  }

  #say(text: string): void {
    this.#parts.notices.say({ name: "cache", text, tone: "quiet" }, { passing: true });
  }

  /** One after another: a file is not read while it is written. */
  #then(step: () => Promise<void>): void {
    this.#running = this.#running.then(step, step);
  }
}
