import type { EngineInfo, ModelObject, ModelPage } from "../types.ts";

/** What there is to say of a model elsewhere. */
export const infoOf = (name: string): EngineInfo => ({
  model: { name, architecture: "", parameters: 0, contextLength: 0, bytes: 0, sha256: "" },
  adapter: { vendor: "", architecture: "", device: "", description: "", fallback: false },
  features: [],
  kernels: {},
  tuning: {
    mode: "off",
    source: "adapter",
    plan: { row: "", tile: "" },
    timings: [],
    seconds: 0,
  },
  speculative: "off",
  kv: "f16",
  cache: { heads: 0, pairBytes: 0 },
  notices: [],
});

/** A page of models that can be awaited, or gone through with `for await`. */
export function listOf(
  find: () => Promise<ModelObject[]>,
): Promise<ModelPage> & AsyncIterable<ModelObject> {
  const found = find();
  async function* each() {
    yield* await found;
  }
  const iterable = { [Symbol.asyncIterator]: each };
  const page = found.then((data) => ({ object: "list" as const, data, ...iterable }));
  // Told to who waits for it; another may go through it alone.
  page.catch(() => {});
  return Object.assign(page, iterable);
}
