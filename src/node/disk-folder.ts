import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { FileFolder } from "../fetch/store/calibration-store.ts";

/** Small files in a folder of the disk, made when something is first written. */
export function diskFolder(folder: string): FileFolder {
  const isMissing = (error: unknown): boolean => (error as { code?: string }).code === "ENOENT";
  return {
    names: () =>
      readdir(folder).catch((error: unknown) => {
        if (isMissing(error)) return [];
        throw error;
      }),
    // A copy: a Buffer of Node may be a window on a shared pool.
    read: async (name) => new Uint8Array(await readFile(join(folder, name))),
    async write(name, bytes) {
      await mkdir(folder, { recursive: true });
      // Whole or not at all, also for a process that reads meanwhile.
      const fresh = join(folder, `${name}.${process.pid}.new`);
      await writeFile(fresh, bytes);
      await rename(fresh, join(folder, name));
    },
    async remove(name) {
      try {
        await rm(join(folder, name));
        return true;
      } catch (error) {
        if (isMissing(error)) return false;
        throw error;
      }
    },
  };
}
