import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";
import { wgslModules } from "../shaders/build/vite-plugin.mjs";

/**
 * Imports a TypeScript module of this repository in plain Node, before anything is built.
 * @param {string} path relative to the repository's root
 * @returns {Promise<Record<string, any>>}
 */
export async function loadTypeScript(path) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const { module } = await runnerImport(`${root}${path}`, {
    root,
    configFile: false,
    plugins: [wgslModules()],
    logLevel: "error",
  });
  return /** @type {Record<string, any>} */ (module);
}
