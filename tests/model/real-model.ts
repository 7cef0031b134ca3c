import type { CacheOptions } from "../../src/cache/cache-options.ts";
import { InferenceEngine } from "../../src/engine/engine.ts";
import { NodeFileSource } from "../../src/formats/node-source.ts";
import { sharedGpu } from "../shared-gpu.ts";

/** Where `npm start` and `npm test` put it. */
const PATH = ".cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";

/** The default model on the adapter at hand. */
export async function loadRealModel(
  cache: CacheOptions,
  filters?: Uint8Array,
): Promise<InferenceEngine> {
  const source = await NodeFileSource.open(process.env.WINNOW_MODEL ?? PATH);
  try {
    const options = { source, name: "SmolLM2", cache, ...(filters ? { filters } : {}) };
    return await InferenceEngine.load(sharedGpu, options);
  } finally {
    await source.close();
  }
}
