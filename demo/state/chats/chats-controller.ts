import type { Engine } from "../../../src/api/types.ts";
import { loadLater } from "../../../src/errors.ts";
import type { SaveDocument } from "../attachments.ts";
import type { CacheStore } from "../cache-store.ts";
import type { ChatStore } from "../chat-store.ts";
import type { NoticeStore } from "../notices.ts";
import { StorageStore } from "../storage-store.ts";
import { CacheFiles } from "./cache-files.ts";
import { CacheKeeper } from "./cache-keeper.ts";
import { ChatArchive } from "./chat-archive.ts";
import { BrowserDatabase } from "./chat-database.ts";
import { ChatLock } from "./chat-lock.ts";
import type { Found } from "./chat-search.ts";
import type { Attachment, ChatRecord } from "./chat-types.ts";
import { ChatsStore } from "./chats-store.ts";
import { ContextFiles } from "./context-files.ts";
import type { FileChat } from "./file/read-chats.ts";
import { OtherTabs } from "./other-tabs.ts";
import { remembered } from "./remembered.ts";

/** Chats as this page keeps them, and what it says about them. */
export class ChatsController {
  readonly archive = new ChatArchive(new BrowserDatabase());
  readonly store: ChatsStore;
  readonly files = new CacheFiles();
  readonly storage = new StorageStore(this.archive, this.files);
  readonly keeper: CacheKeeper;
  readonly contexts: ContextFiles;
  readonly #notices: NoticeStore;
  readonly #chat: ChatStore;
  readonly #cache: CacheStore;

  constructor(chat: ChatStore, cache: CacheStore, notices: NoticeStore) {
    const { archive } = this;
    const parts = { lock: new ChatLock(), tabs: new OtherTabs(), remembered };
    this.store = new ChatsStore({ chat, cache, archive, ...parts });
    this.#notices = notices;
    this.#chat = chat;
    this.#cache = cache;
    const { files, store: chats } = this;
    this.keeper = new CacheKeeper({ chat, chats, cache, files, notices });
    this.contexts = new ContextFiles(chats, this.keeper, notices);
    archive.subscribe(() => this.#onArchive());
  }

  attach(engine: Engine | null): void {
    this.keeper.attach(engine);
    this.contexts.attach(engine);
  }

  /** Watches the page's end, for as long as the signal allows. */
  async start(signal: AbortSignal): Promise<void> {
    const leave = (): void => {
      void this.archive.flush();
      void this.keeper.leave();
    };
    const onVisibility = (): void => (document.hidden ? leave() : undefined);
    addEventListener("pagehide", leave, { signal });
    document.addEventListener("visibilitychange", onVisibility, { signal });
    addEventListener("beforeunload", (event) => this.#beforeUnload(event), { signal });
    await this.store.start();
  }

  search(query: string): Promise<Found[]> {
    return loadLater("searching", () => import("./chat-search.ts")).then(({ searchChats }) =>
      searchChats(this.archive, this.store.list, query),
    );
  }

  async rename(record: ChatRecord, title: string): Promise<void> {
    await this.store.rename(record, title);
    this.#sayRefused();
  }

  async remove(record: ChatRecord): Promise<void> {
    await this.store.remove(record);
    if (this.#sayRefused()) return;
    this.keeper.forget(record.id);
    const undo = (): void => {
      this.#notices.end("deleted");
      void this.store.restore();
    };
    const text = `Deleted “${record.title}”.`;
    const action = { label: "Undo", run: undo };
    this.#notices.say({ name: "deleted", text, tone: "quiet", action }, { passing: true });
  }

  /** Deletes every chat that no other tab has open. */
  async removeAll(): Promise<void> {
    let refused = false;
    for (const record of this.store.list) {
      await this.store.remove(record);
      if (this.#sayRefused()) refused = true;
    }
    this.store.forgetDeleted();
    // What another tab has open is kept, and so is what was read of it.
    if (!refused) await this.keeper.forgetAll();
    await this.storage.refresh();
  }

  /** Asks. Documents that a chat begins with are read twice: what is asked of them later is not known yet. */
  send(text: string, attachments: readonly Attachment[] = []): void {
    if (attachments.length > 0 && this.#chat.entries.length === 0) this.#cache.readTwice();
    this.#chat.send(text, attachments);
  }

  /** Saves chats as one file, with what the model has read of them if that is wanted. */
  async export(records: readonly ChatRecord[], withRead = false): Promise<void> {
    await this.#notices.attempt("export", async () => {
      const { writeChatFile } = await loadLater("exports", () => import("./file/chat-file.ts"));
      const chats: FileChat[] = [];
      for (const record of records) {
        const read = withRead ? await this.keeper.fileOf(record.id) : null;
        const entries = await this.archive.entries(record.id);
        chats.push({ record, entries, ...(read !== null && { read }) });
      }
      const hasRead = chats.some(({ read }) => read !== undefined);
      download(writeChatFile(chats), fileName(records, hasRead ? "winnow" : "json"));
    });
  }

  /** Adds the chats of a file and opens the one that was used last, or begins one that has read the file. */
  async import(file: File): Promise<void> {
    await this.#notices.attempt("import", async () => {
      const beginning = await file.slice(0, 64).text();
      const isContext = /\.winnow$/i.test(file.name) && !/^\s*\{\s*"/.test(beginning);
      await (isContext ? this.contexts.open(file) : this.#import(file));
    });
  }

  /** Opens files of what was read, each as a chat, and returns the others. */
  takeContexts(files: readonly File[]): File[] {
    const isContext = ({ name }: File): boolean => /\.winnow$/i.test(name);
    void (async () => {
      for (const file of files.filter(isContext)) await this.import(file);
    })();
    return files.filter((file) => !isContext(file));
  }

  /** Saves what was read of the chat that is open, for this page or an app to open. */
  async saveContext(): Promise<void> {
    await this.#notices.attempt("context", async () => {
      const { file, name } = await this.contexts.save();
      download(file, `${wordsOf(name)}.winnow`);
    });
  }

  /** Has a document read, and saves what was read. Says what went wrong, unless it was given up. */
  readonly saveDocument: SaveDocument = (attachment, options) =>
    this.#notices.attempt("context", async () => {
      const file = await this.contexts.read(attachment, options).catch((thrown: unknown) => {
        if (!options.signal.aborted) throw thrown;
      });
      if (file) download(file, `${wordsOf(attachment.name.replace(/\.[^.]+$/, ""))}.winnow`);
    });

  async #import(file: File): Promise<void> {
    const { readChatFile } = await loadLater("imports", () => import("./file/chat-file.ts"));
    const chats = await readChatFile(file);
    this.store.add(chats);
    await this.archive.flush();
    for (const { record, read } of chats)
      if (read !== undefined) await this.keeper.keep(record.id, read);
    const count = chats.length === 1 ? "1 chat" : `${chats.length} chats`;
    const text = `Imported ${count} from ${file.name}.`;
    this.#notices.say({ name: "import", text, tone: "quiet" }, { passing: true });
    const [last] = chats.toSorted((a, b) => b.record.updated - a.record.updated);
    if (last !== undefined) await this.store.open(last.record);
  }

  /**
   * A newer page is ready: `reload` shows it, once the answer under way is complete and all is stored. `keep` keeps what is
   * not sent yet, and says whether it could.
   */
  sayUpdate(reload: () => void, keep: () => boolean): void {
    const say = (text: string, run?: () => Promise<void>): void => {
      const action = run && { label: "Reload now", run: () => void run() };
      this.#notices.say({ name: "update", text, tone: "quiet", ...(action && { action }) });
    };
    const run = async (): Promise<void> => {
      say("The page reloads as soon as the answer is complete and stored.");
      await this.#chat.ended();
      await Promise.all([this.archive.flush(), this.keeper.leave()]);
      if (this.archive.unsaved)
        say("The page was not reloaded: some messages could not be stored.", run);
      else if (!keep())
        say(
          "The page was not reloaded: send or remove your documents first, they are too large to be kept.",
          run,
        );
      else reload();
    };
    say(
      "There is a new version of this page. Reloading loses nothing: chats, settings and what you have written stay.",
      run,
    );
  }

  #sayRefused(): boolean {
    const { refused } = this.store;
    if (refused === null) return false;
    const text = `“${refused.title}” is open in another tab. Change it there, or close that tab first.`;
    this.#notices.say({ name: "refused", text, tone: "error" }, { passing: true });
    return true;
  }

  #onArchive(): void {
    const { trouble } = this.archive;
    if (trouble === null) {
      this.#notices.end("storage");
      return;
    }
    const retry = { label: "Try again", run: () => void this.archive.flush() };
    const text =
      trouble.kind === "full"
        ? "The browser's storage is full: the latest messages are in this tab alone. Free space or export the chat, then try again."
        : "This browser keeps no chats here, in a private window for example: they last until the tab is closed. Export what you want to keep.";
    this.#notices.say({ name: "storage", text, tone: "error", action: retry });
  }

  /** Asks before messages are lost that could not be stored. */
  #beforeUnload(event: BeforeUnloadEvent): void {
    if (this.archive.trouble?.kind === "full" && this.archive.unsaved) event.preventDefault();
  }
}

function fileName(records: readonly ChatRecord[], ending: string): string {
  const [only] = records;
  const day = new Date().toISOString().slice(0, 10);
  const name = records.length === 1 && only !== undefined ? wordsOf(only.title) : "winnow-chats";
  return `${name}-${day}.${ending}`;
}

/** A title as a file's name. */
const wordsOf = (title: string): string =>
  title
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 40) || "chat";

function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
