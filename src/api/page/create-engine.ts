import type { Engine, EngineOptions } from "../types.ts";
import { connect } from "./connect.ts";
import { openEngine } from "./open-engine.ts";
import { wholePackage } from "./whole-package.ts";

/**
 * Loads a model in a worker of this page, or in this thread where a scope has WebGPU and no workers. WebGPU, the
 * adapter and the memory are checked before the first byte of the model is fetched.
 *
 * @throws WinnowError: invalid_argument, no_webgpu, no_worker, no_adapter, adapter_too_weak, out_of_memory,
 * model_not_found, network, bad_model_file, unsupported_model, bad_filters, aborted.
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  return wholePackage()?.createEngine(options) ?? openEngine(options, connect);
}
