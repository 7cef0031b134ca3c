/**
 * Filters that come with the package, by the model's name. Bundlers copy a file only where they see
 * `new URL("...", import.meta.url)` spelled out, so each has its own line.
 */
export const OWN_FILTERS: Readonly<Record<string, string>> = {
  "smollm2-135m-instruct": new URL(
    "../../public/filters/smollm2-135m-instruct.safetensors",
    import.meta.url,
  ).href,
};
