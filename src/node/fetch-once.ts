import { createHash } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { LoadProgress } from "../api/types.ts";
import { WinnowError } from "../errors.ts";
import { fileNameOf, hubFileOf, hubUrl } from "../fetch/http.ts";
import { type AskHub, hubStatements } from "../fetch/hub-statement.ts";
import { unchecked } from "../fetch/resolve-model.ts";
import { downloadFile } from "./download-file.ts";
import { modelCacheFolder, sha256OfFile } from "./model-cache.ts";

export interface FetchHooks {
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Is told where the hub could not be asked what its file must be. */
  readonly onNotice?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

const isFile = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isFile() === true;

/**
 * Path of a URL's file in the cache folder; the name keeps two URLs with one file name apart. A file of the hub is
 * held to the SHA-256 that the hub states, and comes from the commit it states it for; where it could not be asked,
 * the file has another name, and is checked the next time.
 * Throws network, model_not_found, bad_model_file (another hash), aborted.
 */
export async function fetchOnce(
  url: string,
  { onProgress, onNotice, signal }: FetchHooks = {},
  hub: AskHub = hubStatements(),
): Promise<string> {
  const folder = modelCacheFolder();
  await mkdir(folder, { recursive: true });
  const key = createHash("sha256").update(url).digest("hex").slice(0, 12);
  const path = join(folder, `${key}-${fileNameOf(url)}`);
  if (await isFile(path)) return path;
  const file = hubFileOf(url);
  const stated = file && (await hub(file, signal));
  const report = (stage: "verify" | "download", loaded: number, total = stated?.bytes ?? 0) =>
    onProgress?.({ stage, loaded, total });
  const earlier = join(folder, `${key}-unchecked-${fileNameOf(url)}`);
  const target = file && !stated ? earlier : path;
  if (target !== path) onNotice?.(unchecked(fileNameOf(url), url));
  if (await isFile(earlier)) {
    if (!stated) return earlier;
    const hash = await sha256OfFile(earlier, (loaded) => report("verify", loaded));
    if (hash === (stated.sha256 ?? hash)) {
      await rename(earlier, path);
      return path;
    }
    await rm(earlier);
  }
  // What one commit's file has left is no beginning of another's.
  const part = stated?.sha256 ? `.${stated.sha256.slice(0, 12)}` : "";
  const fresh = `${target}${part}.new`;
  const from = file && stated ? hubUrl({ ...file, revision: stated.commit }) : url;
  await downloadFile(from, fresh, (loaded, total) => report("download", loaded, total), signal);
  if (stated?.sha256) {
    const hash = await sha256OfFile(fresh, (loaded) => report("verify", loaded));
    if (hash !== stated.sha256) {
      await rm(fresh);
      throw new WinnowError(
        "bad_model_file",
        `${from}: the file's SHA-256 is ${hash}, the hub states ${stated.sha256}`,
        {
          hint: "Try again; if it happens twice, something between here and the hub changes the file.",
          details: { field: "sha256", url: from },
        },
      );
    }
  }
  await rename(fresh, target);
  return target;
}
