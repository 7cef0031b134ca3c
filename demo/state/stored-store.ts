import { asWinnowError, type WinnowError } from "../../src/errors.ts";
import type { StoredModel } from "../../src/index.ts";
import { loadLibrary } from "./engine-source.ts";
import { Store } from "./store.ts";

/** The models that this browser keeps, last used first. */
export class StoredStore extends Store {
  models: readonly StoredModel[] = [];
  /** Why the last removal failed, and of which model. */
  refusal: { source: string; error: WinnowError } | null = null;

  /** Leaves the list as it is where the browser allows no storage. */
  async refresh(): Promise<void> {
    try {
      const { listModels } = await loadLibrary();
      this.models = await listModels();
    } catch {
      return;
    }
    this.changed();
  }

  /** Never throws: a failure becomes the refusal. */
  async remove(source: string): Promise<void> {
    this.refusal = null;
    try {
      const { removeModel } = await loadLibrary();
      await removeModel(source);
    } catch (thrown) {
      this.refusal = { source, error: asWinnowError(thrown) };
      this.changed();
    }
    await this.refresh();
  }
}
