import type { FileFolder } from "./calibration-store.ts";

/** Only in TypeScript's worker library; only there in dedicated workers. */
interface SyncAccessHandle {
  write(buffer: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

type FileHandle = FileSystemFileHandle & {
  createSyncAccessHandle?: () => Promise<SyncAccessHandle>;
};

/**
 * Small files in a folder of the origin private file system. Throws where the browser has none, or refuses
 * it (private windows).
 */
export async function openOpfsFolder(path: readonly string[]): Promise<FileFolder> {
  let directory = await globalThis.navigator.storage.getDirectory();
  for (const name of path) directory = await directory.getDirectoryHandle(name, { create: true });
  return {
    async names() {
      const names: string[] = [];
      for await (const name of directory.keys()) names.push(name);
      return names;
    },
    async read(name) {
      const file = await (await directory.getFileHandle(name)).getFile();
      return new Uint8Array(await file.arrayBuffer());
    },
    async write(name, bytes) {
      const handle: FileHandle = await directory.getFileHandle(name, { create: true });
      // Safari writes in workers only, and only so.
      if (handle.createSyncAccessHandle) {
        const access = await handle.createSyncAccessHandle();
        try {
          access.truncate(0);
          for (let done = 0; done < bytes.length; ) {
            const wrote = access.write(bytes.subarray(done), { at: done });
            if (wrote === 0) throw new DOMException("nothing was written", "QuotaExceededError");
            done += wrote;
          }
          access.flush();
        } finally {
          access.close();
        }
        return;
      }
      const writable = await handle.createWritable();
      await writable.write(new Uint8Array(bytes));
      await writable.close();
    },
    async remove(name) {
      try {
        await directory.removeEntry(name);
        return true;
      } catch (error) {
        if (error instanceof DOMException && error.name === "NotFoundError") return false;
        throw error;
      }
    },
  };
}
