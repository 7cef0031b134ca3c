import { loadLater } from "../errors.ts";
import { EngineClient } from "./client.ts";
import { connectWorker } from "./connect-worker.ts";
import { ownFilters } from "./own-filters.ts";
import type { Engine, EngineOptions } from "./types.ts";
import { checkEngineOptions } from "./validate-engine.ts";

/**
 * Loads a model in a worker of this page. WebGPU, the adapter and the memory are checked before
 * the first byte of the model is fetched.
 *
 * @throws WinnowError: invalid_argument, no_webgpu, no_adapter, adapter_too_weak, out_of_memory,
 * model_not_found, network, bad_model_file, unsupported_model, bad_filters, aborted.
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const checked = checkEngineOptions(options);
  // A tokenizer is code and cannot cross to a worker: the engine then runs in the page itself.
  const connection = checked.tokenizer
    ? (await loadLater("engines in the page", () => import("./connect-page.ts"))).connectPage(
        checked.tokenizer,
      )
    : connectWorker();
  const baseUrl = globalThis.document?.baseURI;
  return EngineClient.open(connection, checked, {
    ownFilters,
    calibrate: "auto",
    ...(baseUrl === undefined ? {} : { baseUrl }),
  });
}
