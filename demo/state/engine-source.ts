import type * as Winnow from "../../src/index.ts";

/** What the page uses of the library. */
export type Library = Pick<typeof Winnow, "createEngine" | "listModels" | "removeModel">;

/** True under `?engine=fake` of the development server: a stand-in that needs no GPU and no weights. */
export const usesFakeEngine =
  import.meta.env.DEV && new URLSearchParams(location.search).get("engine") === "fake";

/** The library, loaded when it is first needed. The stand-in is compiled out of production builds. */
export async function loadLibrary(): Promise<Library> {
  if (import.meta.env.DEV && usesFakeEngine) return import("../fake/fake-library.ts");
  return import("../../src/index.ts");
}
