/**
 * A URL into a store, resumable and hashed, readable from the first byte on. What fetches (fetch-file.ts) is loaded when
 * something must be asked:
 *
 *   stored, of a known hash or commit -> served from the store, no request
 *   stored, of no known hash          -> the server is asked whether it has changed; served where it has not, or is silent
 *   stored in part                    -> its bytes are hashed again, the rest is fetched by range
 *   otherwise                         -> fetched from the start
 *
 * A file of the hub whose hash the caller does not know is held to what the hub itself states of it, and all of
 * it comes from one commit, whatever becomes of the branch meanwhile. A broken connection is taken up again a few
 * times; then, and on abort, the bytes so far stay in the store. A hash that is not the expected one removes them.
 */
import { loadLater, throwIfAborted } from "../errors.ts";
import { hubFileOf } from "./addresses.ts";
import {
  type Download,
  type DownloadOptions,
  findKept,
  isPinned,
  notAsked,
  serve,
  storeKey,
} from "./stored-copy.ts";

/**
 * Resolves as soon as the size is known: mostly when the server has answered.
 * @throws WinnowError `model_not_found`, `network`, `bad_model_file` (wrong size), `aborted`.
 */
export async function download(url: string, options: DownloadOptions): Promise<Download> {
  throwIfAborted(options.signal);
  const key = await storeKey(url, options.sha256);
  const { whole } = await findKept(options.store, key);
  if (whole && isPinned(key, whole.record)) {
    const served = await serve(url, whole, options);
    if (served) return served;
  }
  const unasked = whole && !hubFileOf(url) ? whole : undefined;
  let fetching: typeof import("./fetch-file.ts");
  try {
    fetching = await loadLater("downloads", () => import("./fetch-file.ts"));
  } catch (error) {
    const served =
      unasked && (await serve(url, unasked, options, [notAsked(url, "no connection")]));
    if (served) return served;
    throw error;
  }
  return fetching.fetchFile(url, key, options);
}
