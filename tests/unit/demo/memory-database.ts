import type { Change, ChatDatabase } from "../../../demo/state/chats/chat-database.ts";
import type { ChatEntry, ChatRecord } from "../../../demo/state/chats/chat-types.ts";

/** A database of two maps, which can be told to fail. */
export class MemoryDatabase implements ChatDatabase {
  readonly records = new Map<string, ChatRecord>();
  readonly messages = new Map<string, ChatEntry>();
  /** What the next calls throw. */
  failure: Error | null = null;
  writes = 0;

  async chats(): Promise<ChatRecord[]> {
    this.#check();
    return [...this.records.values()];
  }

  async chat(id: string): Promise<ChatRecord | undefined> {
    this.#check();
    return this.records.get(id);
  }

  async entries(chat: string): Promise<ChatEntry[]> {
    this.#check();
    return this.#of(chat).map(([, entry]) => entry);
  }

  async scan(visit: (chat: string, entry: ChatEntry) => void): Promise<void> {
    this.#check();
    for (const [key, entry] of this.messages) visit(key.split("/")[0]!, entry);
  }

  async write(changes: readonly Change[]): Promise<void> {
    this.#check();
    this.writes++;
    for (const change of changes) {
      if (change.kind === "entry") {
        const key = `${change.chat}/${change.id}`;
        if (change.value === null) this.messages.delete(key);
        else this.messages.set(key, change.value);
      } else if (change.value !== null) this.records.set(change.chat, change.value);
      else {
        this.records.delete(change.chat);
        for (const [key] of this.#of(change.chat)) this.messages.delete(key);
      }
    }
  }

  #of(chat: string): [string, ChatEntry][] {
    return [...this.messages].filter(([key]) => key.startsWith(`${chat}/`));
  }

  #check(): void {
    if (this.failure !== null) throw this.failure;
  }
}
