import { checkMessages } from "../../../src/api/checks/validate-messages.ts";
import type { Engine, ReadProgress } from "../../../src/api/types.ts";
import { asWinnowError, WinnowError } from "../../../src/errors.ts";
import type { ChatMessage } from "../../../src/text/types.ts";
import { formatCount } from "../../format.ts";
import type { NoticeStore } from "../notices.ts";
import type { CacheKeeper } from "./cache-keeper.ts";
import type { Attachment, Chat } from "./chat-types.ts";
import { type ChatsStore, newRecord } from "./chats-store.ts";
import { entryOf } from "./entry-content.ts";

/** What the engine has read, as a file of `engine.cache.save` or `winnow read`: opened as a new chat, and saved as one. */
export class ContextFiles {
  readonly #chats: ChatsStore;
  readonly #keeper: CacheKeeper;
  readonly #notices: NoticeStore;
  #engine: Engine | null = null;

  constructor(chats: ChatsStore, keeper: CacheKeeper, notices: NoticeStore) {
    this.#chats = chats;
    this.#keeper = keeper;
    this.#notices = notices;
  }

  attach(engine: Engine | null): void {
    this.#engine = engine;
  }

  /** Begins a chat that has read the file. Throws what is wrong with it; the present chat stays as it is then. */
  async open(file: File): Promise<void> {
    const engine = this.#engine;
    if (engine === null)
      throw new WinnowError(
        "invalid_argument",
        `${file.name} was not opened: no model is loaded.`,
        {
          hint: "Load the model that the file was made with, then open it again.",
        },
      );
    const record = newRecord();
    const conversation = record.id;
    const { messages, usage } = await engine.cache
      .load(file, { conversation })
      .catch((thrown: unknown) => {
        const { code, message, hint } = asWinnowError(thrown);
        throw new WinnowError(code, `${file.name} was not opened: ${message}`, { hint });
      });
    if (messages.length === 0) {
      await engine.cache.reset({ conversation });
      throw new WinnowError("invalid_argument", `${file.name} holds plain text, and no chat.`, {
        hint: "Make a file for chats: npx winnow-llm read, or generate --chat --save.",
      });
    }
    const title = file.name.replace(/\.winnow$/i, "");
    const chat = chatOf({ ...record, title, named: true }, checkMessages(messages));
    this.#chats.add([chat]);
    await this.#keeper.keep(conversation, file);
    await this.#chats.open(chat.record);
    const text = `“${title}” begins a chat: its ${formatCount(usage.tokensSeen)} tokens are read already.`;
    this.#notices.say({ name: "context", text, tone: "quiet" }, { passing: true });
  }

  /** What is read of a document, as `winnow read` makes it, in a conversation of its own. Throws what the engine says. */
  async read(
    { text, name }: Attachment,
    options: { signal: AbortSignal; onProgress: (progress: ReadProgress) => void },
  ): Promise<Blob> {
    const engine = this.#engine;
    if (engine === null) throw new WinnowError("invalid_argument", "No model is loaded.");
    const conversation = `file of ${name}`;
    const { signal } = options;
    try {
      await engine.cache.configure({ reread: true }, { conversation });
      await engine.cache.read(
        { messages: [{ role: "system", content: text }] },
        { conversation, ...options },
      );
      return await engine.cache.save({ conversation, signal });
    } finally {
      await engine.cache.reset({ conversation }).catch(() => undefined);
    }
  }

  /** What was read of the chat that is open. Throws what the engine says. */
  async save(): Promise<{ file: Blob; name: string }> {
    const { id, title } = this.#chats.opened;
    if (this.#engine === null) throw new WinnowError("invalid_argument", "No model is loaded.");
    const file = await this.#engine.cache.save({ conversation: id });
    return { file, name: title };
  }
}

/** A system message in front becomes the chat's system prompt, word for word: a document that was read is one. */
function chatOf(record: Chat["record"], messages: readonly ChatMessage[]): Chat {
  const [first] = messages;
  const system = first?.role === "system" ? first.content : "";
  const said = messages.slice(system === "" ? 0 : 1);
  return {
    record: { ...record, answers: { ...record.answers, system } },
    entries: said.map((message, i) => entryOf(message, i + 1)),
  };
}
