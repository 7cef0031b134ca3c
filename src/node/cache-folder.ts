import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { hubUrl } from "../fetch/addresses.ts";
import { MODELS } from "../fetch/resolve/model-registry.ts";
import { DiskStore } from "../fetch/store/disk-store.ts";

/** WINNOW_CACHE, else .cache/models of the current folder where it exists, else ~/.cache/winnow. */
export function modelCacheFolder(): string {
  if (process.env.WINNOW_CACHE) return resolve(process.env.WINNOW_CACHE);
  const local = resolve(".cache/models");
  return existsSync(local) ? local : join(homedir(), ".cache/winnow");
}

/** Models that were fetched to this disk. Registered ones have their own names, and may be put there by hand. */
export const diskStore = (folder = modelCacheFolder()): DiskStore =>
  new DiskStore(
    folder,
    new Map(
      MODELS.flatMap(({ name, sha256, bytes, url }) =>
        sha256 === undefined
          ? []
          : [
              [
                `sha256-${sha256}`,
                { file: basename(url.file), url: hubUrl(url), bytes, model: name },
              ],
            ],
      ),
    ),
  );
