import type { EngineOptions } from "../../src/api/types.ts";
import { throwIfAborted, WinnowError } from "../../src/errors.ts";

/** Query parameters of loading: `load=slow` or `load=fast`, `waits`, `fail=load`. */
const query = new URLSearchParams(location.search);
export const WEIGHT_BYTES = 98_362_432;
/** Steps of the download, and milliseconds that each takes. */
const STEPS = { slow: [400, 40], usual: [25, 40], fast: [6, 0] } as const;
const [steps, wait] = STEPS[query.get("load") as keyof typeof STEPS] ?? STEPS.usual;
/** Under `fail=load` the connection breaks once. */
let breaks = query.get("fail") === "load";

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** `stored`: the model is here, and nothing is downloaded. */
export async function fakeLoad(
  { onProgress, signal }: EngineOptions,
  stored: boolean,
): Promise<void> {
  onProgress?.({ stage: "resolve", loaded: 0, total: 0 });
  await pause(4 * wait);
  for (let i = 0; i <= steps && !stored; i++) {
    throwIfAborted(signal);
    if (query.has("waits") && i === 5) {
      const loaded = (WEIGHT_BYTES * i) / steps;
      const waiting = { for: "server", seconds: 3 } as const;
      onProgress?.({ stage: "download", loaded, total: WEIGHT_BYTES, waiting });
      await pause(3000);
    }
    onProgress?.({ stage: "download", loaded: (WEIGHT_BYTES * i) / steps, total: WEIGHT_BYTES });
    if (breaks && i > steps / 3) {
      breaks = false;
      throw new WinnowError(
        "network",
        "model.gguf: the connection broke after 33.1 MB of 98.4 MB",
        {
          hint: "Check the connection and try again: what arrived is kept and the download resumes.",
        },
      );
    }
    await pause(wait);
  }
  for (const stage of ["verify", "upload", "compile"] as const)
    for (let i = 1; i <= 5; i++) {
      throwIfAborted(signal);
      const total = stage === "compile" ? 14 : WEIGHT_BYTES;
      onProgress?.({ stage, loaded: Math.round((total * i) / 5), total });
      await pause(wait);
    }
  onProgress?.({ stage: "ready", loaded: 1, total: 1 });
}
