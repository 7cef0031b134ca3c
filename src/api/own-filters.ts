import { fromBase64 } from "../formats/base64.ts";

/**
 * Filters that come with the package, by the model's name: bytes inside a module that is imported when its model is
 * loaded. Every bundler carries a module; a file beside it would need a rule of each.
 */
const FILTERS: Readonly<Record<string, () => Promise<{ default: string }>>> = {
  "smollm2-135m-instruct": () =>
    import("../../public/filters/smollm2-135m-instruct.safetensors?url&inline"),
};

/** A safetensors file; undefined where the package has none for this model. */
export async function ownFilters(model: string): Promise<Uint8Array | undefined> {
  const file = Object.hasOwn(FILTERS, model) ? await FILTERS[model]?.() : undefined;
  if (file === undefined) return undefined;
  return fromBase64(file.default.slice(file.default.indexOf(",") + 1));
}
