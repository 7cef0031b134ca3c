import { DEFAULT_MODEL, findModel } from "../src/fetch/resolve/model-registry.ts";
import { diskStore } from "../src/node/cache-folder.ts";
import { fetchEntry } from "../src/node/fetch-entry.ts";
import { ProgressBar } from "../src/node/progress-bar.ts";

const LABELS: Record<string, string> = { download: "Downloading", verify: "Verifying" };

/** Path of the default model's file in `folder`, with a progress bar while it is fetched. */
export async function prepareModel(folder: string): Promise<string> {
  const entry = findModel(DEFAULT_MODEL);
  const store = diskStore(folder);
  const bar = new ProgressBar();
  try {
    const model = await fetchEntry(entry, {
      store,
      onProgress: (stage, loaded, total) => {
        if (stage !== "resolve") bar.update(`${LABELS[stage]} ${entry.title}`, loaded, total);
      },
    });
    const { sha256 } = await model.verified();
    await model.close?.();
    return store.pathOf(`sha256-${sha256}`);
  } finally {
    bar.end();
  }
}
