import { loadLater } from "../../errors.ts";

/**
 * The name of the package's file that this code is in; not defined where an app is built from the sources.
 * vite.config.ts writes it.
 */
declare const PACKAGE_FILE: string | undefined;

/** The worker's code in one file, which is also how an engine runs in the calling thread. */
export const loadEngineCode = () =>
  loadLater("engines", () => import("../../../workers/engine.worker.ts"));

/**
 * Where the worker's script is: its address; or "bundler", where the literal `new Worker(new URL(...))` tells a bundler
 * to make it; or "none", where a bundler has joined everything into one script.
 */
export type WorkerPlace = URL | "bundler" | "none";

/**
 * Three kinds of surroundings:
 * - This file is the package's own, at the address it says. Without a bundler the worker is beside it. With webpack,
 *   Turbopack or Parcel the address is a file's of the machine that built: these know the literal.
 * - This code is in a file that a bundler made (Vite, Rollup, esbuild, Bun). These keep `import.meta.url` and make a
 *   file of what is imported later, so that file can say where it is.
 * - All is in one file: there is no script that a worker could load without running the whole app once more.
 */
export async function findWorker(): Promise<WorkerPlace> {
  if (typeof PACKAGE_FILE === "undefined") return "bundler";
  const here: string | undefined = import.meta.url;
  if (here && new URL(here).pathname.endsWith(`/${PACKAGE_FILE}`))
    return here.startsWith("file:") ? "bundler" : new URL("engine.worker.js", here);
  const { url } = await loadEngineCode();
  return url && url !== here ? new URL(url) : "none";
}
