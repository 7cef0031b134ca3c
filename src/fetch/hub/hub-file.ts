import { type HubFile, hubUrl } from "../addresses.ts";
import { download } from "../download.ts";
import { openModelStore } from "../store/opfs-store.ts";
import type { DownloadOptions } from "../stored-copy.ts";

/**
 * The bytes of a small file of the hub, kept in the store beside the models: asked for once.
 * @throws model_not_found, network, aborted.
 */
export async function fetchHubFile(
  file: HubFile,
  options: Partial<Pick<DownloadOptions, "store" | "fetch" | "signal" | "model">> = {},
): Promise<Uint8Array> {
  const store = options.store ?? (await openModelStore());
  const { source, done, close, settle } = await download(hubUrl(file), { ...options, store });
  try {
    await done;
    const bytes = await source.read(0, source.size, options.signal);
    await settle();
    return bytes;
  } finally {
    await close();
  }
}
