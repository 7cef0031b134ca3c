import { loadLater } from "../../errors.ts";
import type { ModelStore } from "./model-store.ts";

/** A store for as long as it lives, where nothing can be kept. */
export async function memoryStore(): Promise<ModelStore> {
  const load = () => import("./memory-store.ts");
  const { MemoryStore } = await loadLater("models in memory", load);
  return new MemoryStore();
}
