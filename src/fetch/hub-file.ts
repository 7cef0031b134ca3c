import { type DownloadOptions, download } from "./download.ts";
import { type HubFile, hubUrl } from "./http.ts";
import { openModelStore } from "./store/opfs-store.ts";

/**
 * The bytes of a small file of the hub, kept in the store beside the models: asked for once.
 * @throws model_not_found, network, aborted.
 */
export async function fetchHubFile(
  file: HubFile,
  options: Partial<Pick<DownloadOptions, "store" | "fetch" | "signal">> = {},
): Promise<Uint8Array> {
  const store = options.store ?? (await openModelStore());
  const { source, done } = await download(hubUrl(file), { ...options, store });
  await done;
  return source.read(0, source.size, options.signal);
}
