import { defined } from "../../defined.ts";
import { loadLater } from "../../errors.ts";
import { isGiven } from "../checks/check.ts";
import { type CheckedEngineOptions, checkEngineOptions } from "../checks/validate-engine.ts";
import { ownFilters } from "../own-filters.ts";
import type { Engine, EngineOptions } from "../types.ts";
import { EngineClient } from "./client.ts";
import { connect } from "./connect.ts";

/**
 * Loads a model in a worker of this page, or in this thread where a scope has WebGPU and no workers. WebGPU, the
 * adapter and the memory are checked before the first byte of the model is fetched.
 *
 * @throws WinnowError: invalid_argument, no_webgpu, no_worker, no_adapter, adapter_too_weak, out_of_memory,
 * model_not_found, network, bad_model_file, unsupported_model, bad_filters, aborted.
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const checked = checkEngineOptions(options);
  if (!isGiven(options.mode ?? options.remote)) return openHere(checked);
  const load = () => import("../remote/hybrid-engine.ts");
  return (await loadLater("servers", load)).openHybrid(options, () => openHere(checked));
}

async function openHere(checked: CheckedEngineOptions): Promise<Engine> {
  const { connection, notices } = await connect(checked);
  const baseUrl = globalThis.document?.baseURI ?? globalThis.location?.href;
  return EngineClient.open(connection, checked, {
    ownFilters,
    notices,
    calibrate: "auto",
    ...defined({ baseUrl }),
  });
}
