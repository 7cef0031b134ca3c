import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TuningStore } from "../model/tuning.ts";

/** One JSON file in `folder`, replaced as a whole; an unreadable one is begun anew. */
export function tuningFile(folder: string): TuningStore {
  const path = join(folder, "tuning.json");
  const all = async (): Promise<Record<string, unknown>> => {
    try {
      const value: unknown = JSON.parse(await readFile(path, "utf8"));
      return typeof value === "object" && value !== null ? { ...value } : {};
    } catch {
      return {};
    }
  };
  return {
    async read(key) {
      const value = (await all())[key];
      return typeof value === "string" ? value : undefined;
    },
    async write(key, value) {
      await mkdir(folder, { recursive: true });
      const fresh = `${path}.${process.pid}`;
      await writeFile(fresh, JSON.stringify({ ...(await all()), [key]: value }, null, 1));
      await rename(fresh, path);
    },
  };
}
