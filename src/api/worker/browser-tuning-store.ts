import type { TuningStore } from "../../model/tuning.ts";

const CACHE = "winnow-tuning";
/** Keys of the Cache API are addresses; this one is never asked for. */
const address = (key: string): string => `https://winnow.invalid/${encodeURIComponent(key)}`;

/** The Cache API: the only small store that workers and pages share. */
export const browserTuningStore: TuningStore = {
  async read(key) {
    const response = await (await caches.open(CACHE)).match(address(key));
    return response?.text();
  },
  async write(key, value) {
    await (await caches.open(CACHE)).put(address(key), new Response(value));
  },
};
