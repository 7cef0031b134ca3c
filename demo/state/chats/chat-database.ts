import type { DBSchema, IDBPDatabase } from "idb";
import { loadLater } from "../../../src/errors.ts";
import type { ChatEntry, ChatRecord } from "./chat-types.ts";

/** One thing to write; null removes it, a chat with all its entries. */
export type Change =
  | { kind: "chat"; chat: string; value: ChatRecord | null }
  | { kind: "entry"; chat: string; id: number; value: ChatEntry | null };

/** Where chats lie. Every call may reject with the browser's own error. */
export interface ChatDatabase {
  chats(): Promise<ChatRecord[]>;
  /** One of them; undefined where there is none. */
  chat(id: string): Promise<ChatRecord | undefined>;
  /** In order. */
  entries(chat: string): Promise<ChatEntry[]>;
  /** Every entry of every chat, one at a time. */
  scan(visit: (chat: string, entry: ChatEntry) => void): Promise<void>;
  /** All of it or nothing. */
  write(changes: readonly Change[]): Promise<void>;
}

interface Schema extends DBSchema {
  chats: { key: string; value: ChatRecord };
  entries: { key: [string, number]; value: ChatEntry & { chat: string } };
}

const NAME = "winnow-chats";
const VERSION = 1;

/** IndexedDB. It is opened at the first call, and again after the browser has closed it. */
export class BrowserDatabase implements ChatDatabase {
  #open: Promise<IDBPDatabase<Schema>> | null = null;

  async chats(): Promise<ChatRecord[]> {
    return (await this.#database()).getAll("chats");
  }

  async chat(id: string): Promise<ChatRecord | undefined> {
    return (await this.#database()).get("chats", id);
  }

  async entries(chat: string): Promise<ChatEntry[]> {
    return (await this.#database()).getAll("entries", allOf(chat));
  }

  async scan(visit: (chat: string, entry: ChatEntry) => void): Promise<void> {
    const database = await this.#database();
    let cursor = await database.transaction("entries").store.openCursor();
    while (cursor !== null) {
      visit(cursor.value.chat, cursor.value);
      cursor = await cursor.continue();
    }
  }

  async write(changes: readonly Change[]): Promise<void> {
    const database = await this.#database();
    const transaction = database.transaction(["chats", "entries"], "readwrite");
    const chats = transaction.objectStore("chats");
    const entries = transaction.objectStore("entries");
    const steps = changes.flatMap((change): Promise<unknown>[] => {
      const { chat, value } = change;
      if (change.kind === "chat")
        return value === null
          ? [chats.delete(chat), entries.delete(allOf(chat))]
          : [chats.put(change.value!)];
      return value === null
        ? [entries.delete([chat, change.id])]
        : [entries.put({ ...change.value!, chat })];
    });
    try {
      await Promise.all([...steps, transaction.done]);
    } catch (error) {
      // A step may say no more than that the transaction was aborted.
      throw transaction.error ?? error;
    }
  }

  #database(): Promise<IDBPDatabase<Schema>> {
    this.#open ??= this.#opened().catch((error) => {
      this.#open = null;
      throw error;
    });
    return this.#open;
  }

  async #opened(): Promise<IDBPDatabase<Schema>> {
    const { openDB } = await loadLater("chats", () => import("idb"));
    const forget = (): void => {
      this.#open = null;
    };
    const database = await openDB<Schema>(NAME, VERSION, {
      upgrade(created) {
        created.createObjectStore("chats", { keyPath: "id" });
        created.createObjectStore("entries", { keyPath: ["chat", "id"] });
      },
      // Another tab has a newer page, whose database waits for this one.
      blocking() {
        database.close();
        forget();
      },
      terminated: forget,
    });
    return database;
  }
}

/** Keys of the entries of a chat: arrays sort behind every number. */
const allOf = (chat: string): IDBKeyRange => IDBKeyRange.bound([chat], [chat, []]);
