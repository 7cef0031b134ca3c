import { DEFAULT_MODEL, findModel } from "../src/fetch/model-registry.ts";
import { entryFile } from "../src/node/model-files.ts";
import { ProgressBar } from "../src/node/progress-bar.ts";

const LABELS: Record<string, string> = { download: "Downloading", verify: "Verifying" };

/** Path of the default model's file in `folder`, with a progress bar while it is fetched. */
export async function prepareModel(folder: string): Promise<string> {
  const entry = findModel(DEFAULT_MODEL);
  const bar = new ProgressBar();
  try {
    return await entryFile(entry, folder, ({ stage, loaded, total }) =>
      bar.update(`${LABELS[stage] ?? stage} ${entry.title}`, loaded, total),
    );
  } finally {
    bar.end();
  }
}
