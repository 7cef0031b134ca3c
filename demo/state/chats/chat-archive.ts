import { messageOf } from "../../../src/errors.ts";
import { Store } from "../store.ts";
import type { Change, ChatDatabase } from "./chat-database.ts";
import type { ChatEntry, ChatRecord } from "./chat-types.ts";

/** Why chats are not kept at the moment. */
export interface ArchiveTrouble {
  /** "full": the browser's storage has no room. "refused": there is no storage, in a private window for example. */
  kind: "full" | "refused";
  reason: string;
}

const SOON_MS = 400;

const keyOf = (change: Change): string =>
  change.kind === "chat" ? change.chat : `${change.chat}/${change.id}`;

/**
 * All chats. What is written waits here until the database has it, and is read from here meanwhile: where the
 * database is full or refused, chats live on in this tab and are written as soon as that succeeds.
 */
export class ChatArchive extends Store {
  trouble: ArchiveTrouble | null = null;
  readonly #database: ChatDatabase;
  readonly #waiting = new Map<string, Change>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> = Promise.resolve();
  /** Is told which chats have been written. */
  onWritten: (chats: ReadonlySet<string>) => void = () => {};

  constructor(database: ChatDatabase) {
    super();
    this.#database = database;
  }

  /** Whether anything is not in the database yet. */
  get unsaved(): boolean {
    return this.#waiting.size > 0;
  }

  /** Last used first. */
  async chats(): Promise<ChatRecord[]> {
    const stored = await this.#read(() => this.#database.chats(), []);
    const found = new Map(stored.map((record) => [record.id, record]));
    for (const change of this.#waiting.values()) {
      if (change.kind !== "chat") continue;
      if (change.value === null) found.delete(change.chat);
      else found.set(change.chat, change.value);
    }
    return [...found.values()].sort((a, b) => b.updated - a.updated);
  }

  /** One of them; undefined where there is none. */
  async chat(id: string): Promise<ChatRecord | undefined> {
    const change = this.#waiting.get(id);
    if (change?.kind === "chat") return change.value ?? undefined;
    return this.#read(() => this.#database.chat(id), undefined);
  }

  /** In order, as they were written: an answer may be under way in another tab, or cut short by a reload. */
  async entries(chat: string): Promise<ChatEntry[]> {
    const stored = await this.#read(() => this.#database.entries(chat), []);
    const found = new Map(stored.map((entry) => [entry.id, entry]));
    for (const change of this.#waiting.values()) {
      if (change.chat !== chat) continue;
      if (change.kind === "chat") {
        if (change.value === null) return [];
      } else if (change.value === null) found.delete(change.id);
      else found.set(change.id, change.value);
    }
    return [...found.values()].sort((a, b) => a.id - b.id);
  }

  /** Every entry of every chat, in no order. */
  async scan(visit: (chat: string, entry: ChatEntry) => void): Promise<void> {
    const newer = (chat: string, { id }: ChatEntry): boolean =>
      this.#waiting.has(`${chat}/${id}`) || this.#removed(chat);
    await this.#read(
      () => this.#database.scan((chat, entry) => newer(chat, entry) || visit(chat, entry)),
      undefined,
    );
    for (const change of this.#waiting.values())
      if (change.kind === "entry" && change.value !== null) visit(change.chat, change.value);
  }

  putChat(record: ChatRecord): void {
    this.#add({ kind: "chat", chat: record.id, value: record });
  }

  putEntry(chat: string, entry: ChatEntry): void {
    this.#add({ kind: "entry", chat, id: entry.id, value: entry });
  }

  removeEntry(chat: string, id: number): void {
    this.#add({ kind: "entry", chat, id, value: null });
  }

  removeChat(chat: string): void {
    for (const [key, change] of this.#waiting) if (change.chat === chat) this.#waiting.delete(key);
    this.#add({ kind: "chat", chat, value: null });
  }

  /** Writes what waits, now. Never throws: what could not be written becomes the trouble, and waits on. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running = this.#running.then(() => this.#write());
    return this.#running;
  }

  #removed(chat: string): boolean {
    const change = this.#waiting.get(chat);
    return change?.kind === "chat" && change.value === null;
  }

  #add(change: Change): void {
    this.#waiting.set(keyOf(change), change);
    this.#timer ??= setTimeout(() => void this.flush(), SOON_MS);
  }

  async #write(): Promise<void> {
    const changes = [...this.#waiting];
    if (changes.length === 0) return;
    try {
      await this.#database.write(changes.map(([, change]) => change));
    } catch (thrown) {
      return this.#enter(troubleOf(thrown));
    }
    // What has changed meanwhile waits on.
    for (const [key, change] of changes)
      if (this.#waiting.get(key) === change) this.#waiting.delete(key);
    this.#enter(null);
    this.onWritten(new Set(changes.map(([, { chat }]) => chat)));
  }

  async #read<T>(read: () => Promise<T>, otherwise: T): Promise<T> {
    try {
      return await read();
    } catch (thrown) {
      this.#enter(troubleOf(thrown));
      return otherwise;
    }
  }

  #enter(trouble: ArchiveTrouble | null): void {
    if (trouble?.kind === this.trouble?.kind) return;
    this.trouble = trouble;
    this.changed();
  }
}

function troubleOf(thrown: unknown): ArchiveTrouble {
  const full = (thrown as Error | undefined)?.name === "QuotaExceededError";
  return { kind: full ? "full" : "refused", reason: messageOf(thrown) };
}
