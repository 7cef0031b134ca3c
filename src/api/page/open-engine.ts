import { defined } from "../../defined.ts";
import { loadLater } from "../../errors.ts";
import { isGiven } from "../checks/check.ts";
import { checkEngineOptions } from "../checks/validate-engine.ts";
import { ownFilters } from "../own-filters.ts";
import { listHere } from "../stored-models.ts";
import type { Engine, EngineOptions } from "../types.ts";
import { EngineClient } from "./client.ts";
import type { Connected } from "./connect.ts";

/** Loads a model in an engine that `connect` finds the way to, or has a server answer, by the mode. */
export async function openEngine(
  options: EngineOptions,
  connect: (options: EngineOptions) => Promise<Connected>,
): Promise<Engine> {
  const checked = checkEngineOptions(options);
  const open = async (): Promise<Engine> => {
    const { connection, notices } = await connect(checked);
    const baseUrl = globalThis.document?.baseURI ?? globalThis.location?.href;
    return EngineClient.open(connection, checked, {
      ownFilters,
      notices,
      calibrate: "auto",
      ...defined({ baseUrl }),
    });
  };
  if (!isGiven(options.mode ?? options.remote)) return open();
  const load = () => import("../remote/hybrid-engine.ts");
  return (await loadLater("servers", load)).openHybrid(options, open, listHere);
}
