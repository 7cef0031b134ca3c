import { loadLater } from "../errors.ts";
import type { Whereabouts } from "./page/whole-package.ts";
import type { ModelSource, StoredModel } from "./types.ts";

/** Whether a model's bytes are "here", "elsewhere", or it is "unknown". Nothing is fetched; `list`: what is stored. */
export async function whereIs(
  model: ModelSource,
  list: () => Promise<StoredModel[]>,
): Promise<Whereabouts> {
  const load = () =>
    Promise.all([
      import("../fetch/stored-models.ts"),
      import("../fetch/resolve/model-registry.ts"),
      import("../fetch/resolve/resolve-model.ts"),
    ]);
  const [{ filedUnder }, { MODELS }, { isAddress }] = await loadLater("stored models", load);
  const name = filedUnder(model);
  // Files are here, and so is what a path of Node names.
  if (name === undefined) return "here";
  const stored = await list();
  if (stored.some(({ source, complete }) => complete && source === name)) return "here";
  const known = isAddress(name) || MODELS.some((entry) => entry.name === name);
  return known ? "elsewhere" : "unknown";
}
