import type { Engine, EngineOptions } from "../../src/api/types.ts";

export type CreateEngine = (options: EngineOptions) => Promise<Engine>;

/** True under `?engine=fake` of the development server: a stand-in that needs no GPU and no weights. */
export const usesFakeEngine =
  import.meta.env.DEV && new URLSearchParams(location.search).get("engine") === "fake";

/** The engine's factory. The stand-in is compiled out of production builds. */
export async function loadCreateEngine(): Promise<CreateEngine> {
  if (import.meta.env.DEV && usesFakeEngine) {
    const { createFakeEngine } = await import("../fake/fake-engine.ts");
    return createFakeEngine;
  }
  const { createEngine } = await import("../../src/index.ts");
  return createEngine;
}
