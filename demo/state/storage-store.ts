import type { CacheFiles } from "./chats/cache-files.ts";
import type { ChatArchive } from "./chats/chat-archive.ts";
import { loadLibrary } from "./engine-source.ts";
import { Store } from "./store.ts";

export interface StorageUse {
  /** Bytes that the page keeps of each kind. */
  models: number;
  chats: number;
  /** What the engine has read of chats. */
  caches: number;
  /** What the browser says: all that this page uses, and how much it may; null where it does not tell. */
  used: number | null;
  allowed: number | null;
  /** Whether the browser has promised not to clear it when space runs short. */
  lasting: boolean;
}

/** What of this device's storage the page uses. */
export class StorageStore extends Store {
  use: StorageUse | null = null;
  readonly #archive: ChatArchive;
  readonly #files: CacheFiles;

  constructor(archive: ChatArchive, files: CacheFiles) {
    super();
    this.#archive = archive;
    this.#files = files;
  }

  async refresh(): Promise<void> {
    const [models, chats, caches, estimate, lasting] = await Promise.all([
      bytesOfModels(),
      this.#bytesOfChats(),
      this.#files.bytes().catch(() => 0),
      navigator.storage?.estimate?.().catch(() => ({})) ?? {},
      navigator.storage?.persisted?.().catch(() => false) ?? false,
    ]);
    const { usage, quota }: StorageEstimate = estimate;
    this.use = { models, chats, caches, used: usage ?? null, allowed: quota ?? null, lasting };
    this.changed();
  }

  /** Asks the browser not to clear what is stored. Some browsers ask the user. */
  async ask(): Promise<void> {
    await keepStorage();
    await this.refresh();
  }

  /** Chats are read again then, when they go on. */
  async freeCaches(): Promise<void> {
    await this.#files.clear().catch(() => undefined);
    await this.refresh();
  }

  async #bytesOfChats(): Promise<number> {
    let bytes = 0;
    await this.#archive.scan((_, { text, attachments = [] }) => {
      bytes += attachments.reduce((sum, document) => sum + document.text.length, text.length);
    });
    return bytes;
  }
}

/** Asks for storage that lasts, where that has not been promised. Never throws. */
export async function keepStorage(): Promise<void> {
  try {
    const { storage } = navigator;
    if (!(await storage.persisted())) await storage.persist();
  } catch {
    // A browser without it clears storage when space runs short, as it does for every page.
  }
}

async function bytesOfModels(): Promise<number> {
  try {
    const { listModels } = await loadLibrary();
    return (await listModels()).reduce((sum, { bytes }) => sum + bytes, 0);
  } catch {
    return 0;
  }
}
