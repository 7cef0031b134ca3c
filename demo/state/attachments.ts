import type { ReadProgress } from "../../src/api/types.ts";
import { asWinnowError, loadLater, type WinnowError } from "../../src/errors.ts";
import type { Attachment } from "./chats/chat-types.ts";
import { Store } from "./store.ts";

/** A document that is to go in front of the next question. */
export type Pending = { readonly id: number; readonly name: string } & (
  | { readonly state: "reading"; readonly read: number; readonly total: number }
  | { readonly state: "ready"; readonly attachment: Attachment }
  /** The model reads it, for a file. */
  | {
      readonly state: "saving";
      readonly attachment: Attachment;
      readonly progress: ReadProgress | null;
    }
  | { readonly state: "failed"; readonly error: WinnowError }
);

/** Reads a document with the model and saves what was read. */
export type SaveDocument = (
  attachment: Attachment,
  options: { signal: AbortSignal; onProgress: (progress: ReadProgress) => void },
) => Promise<void>;

/** Documents that were dropped, picked or pasted, until the question is sent. */
export class AttachmentStore extends Store {
  items: readonly Pending[] = [];
  /** What stops opening or saving a document. */
  readonly #reading = new Map<number, AbortController>();
  #nextId = 1;

  /** Never throws: why a file cannot be read stands beside its name. */
  async addFiles(files: readonly File[]): Promise<void> {
    await Promise.all(files.map((file) => this.#addFile(file)));
  }

  addText(text: string): void {
    this.put([{ name: "Pasted text", kind: "text", text }]);
  }

  /** Puts documents back whose question was taken back. */
  put(attachments: readonly Attachment[]): void {
    const added = attachments.map(
      (attachment): Pending => ({
        id: this.#nextId++,
        name: attachment.name,
        state: "ready",
        attachment,
      }),
    );
    this.items = [...this.items, ...added];
    this.changed();
  }

  /** Takes a document away; one that is being saved is kept, and no longer read. */
  remove(id: number): void {
    this.#reading.get(id)?.abort();
    if (this.items.some((item) => item.id === id && item.state === "saving")) return;
    this.items = this.items.filter((item) => item.id !== id);
    this.changed();
  }

  /** Has the model read a document and what was read saved. Never throws: `save` says what went wrong. */
  async save(id: number, save: SaveDocument): Promise<void> {
    const found = this.items.find((item) => item.id === id);
    if (found?.state !== "ready") return;
    const { name, attachment } = found;
    const abort = new AbortController();
    this.#reading.set(id, abort);
    const onProgress = (progress: ReadProgress | null): void =>
      this.#update({ id, name, state: "saving", attachment, progress });
    onProgress(null);
    await save(attachment, { signal: abort.signal, onProgress });
    this.#reading.delete(id);
    this.#update(found);
  }

  /** The documents that are ready. */
  get ready(): Attachment[] {
    return this.items.flatMap((item) => (item.state === "ready" ? [item.attachment] : []));
  }

  /** The documents that are ready, which leave with the question; files that could not be read leave too. */
  take(): Attachment[] {
    const { ready } = this;
    this.items = this.items.filter(({ state }) => state === "reading" || state === "saving");
    this.changed();
    return ready;
  }

  async #addFile(file: File): Promise<void> {
    const id = this.#nextId++;
    const { name } = file;
    const abort = new AbortController();
    this.#reading.set(id, abort);
    this.items = [...this.items, { id, name, state: "reading", read: 0, total: 0 }];
    this.changed();
    try {
      const { readDocument } = await loadLater(
        "documents",
        () => import("../documents/read-document.ts"),
      );
      const attachment = await readDocument(file, {
        signal: abort.signal,
        onProgress: (read, total) => this.#update({ id, name, state: "reading", read, total }),
      });
      this.#update({ id, name, state: "ready", attachment });
    } catch (thrown) {
      this.#update({ id, name, state: "failed", error: asWinnowError(thrown) });
    } finally {
      this.#reading.delete(id);
    }
  }

  /** What was removed meanwhile stays away. */
  #update(next: Pending): void {
    this.items = this.items.map((item) => (item.id === next.id ? next : item));
    this.changed();
  }
}
