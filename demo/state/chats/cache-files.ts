const FOLDER = "winnow-chat-caches";

/**
 * What the engine has read of each chat, a file per chat in the browser's private files (OPFS). Every call may reject
 * with the browser's own error.
 */
export class CacheFiles {
  /** Null where there is none. */
  async read(chat: string): Promise<File | null> {
    try {
      const folder = await this.#folder();
      return await (await folder.getFileHandle(chat)).getFile();
    } catch (thrown) {
      if ((thrown as Error).name === "NotFoundError") return null;
      throw thrown;
    }
  }

  /** In whole or not at all. */
  async write(chat: string, cache: Blob): Promise<void> {
    const file = await (await this.#folder()).getFileHandle(chat, { create: true });
    const stream = await file.createWritable();
    try {
      await stream.write(cache);
      await stream.close();
    } catch (thrown) {
      await stream.abort().catch(() => undefined);
      throw thrown;
    }
  }

  async remove(chat: string): Promise<void> {
    const folder = await this.#folder();
    await folder.removeEntry(chat).catch(() => undefined);
  }

  /** Bytes of all files. */
  async bytes(): Promise<number> {
    let sum = 0;
    for await (const entry of (await this.#folder()).values())
      if (entry.kind === "file") sum += (await (entry as FileSystemFileHandle).getFile()).size;
    return sum;
  }

  async clear(): Promise<void> {
    const root = await navigator.storage.getDirectory();
    await root.removeEntry(FOLDER, { recursive: true }).catch(() => undefined);
  }

  async #folder(): Promise<FileSystemDirectoryHandle> {
    const root = await navigator.storage.getDirectory();
    return root.getDirectoryHandle(FOLDER, { create: true });
  }
}
