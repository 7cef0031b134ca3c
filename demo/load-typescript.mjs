import { fileURLToPath } from "node:url";
import { createRunnableDevEnvironment, resolveConfig } from "vite";
import { wgslModules } from "../shaders/build/vite-plugin.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Stays open as long as the process: modules import others when they are first needed. */
async function openEnvironment() {
  const resolve = { external: /** @type {const} */ (true), mainFields: [], conditions: ["node"] };
  const config = await resolveConfig(
    {
      root,
      configFile: false,
      envDir: false,
      cacheDir: root,
      plugins: [wgslModules()],
      logLevel: "error",
      environments: {
        script: { consumer: "server", dev: { moduleRunnerTransform: true }, resolve },
      },
    },
    "serve",
  );
  const environment = createRunnableDevEnvironment("script", config, {
    runnerOptions: { hmr: { logger: false } },
    hot: false,
  });
  await environment.init();
  return environment;
}

/** @type {ReturnType<typeof openEnvironment> | undefined} */
let opening;

/**
 * Imports a TypeScript module of this repository in plain Node, before anything is built.
 * @param {string} path relative to the repository's root
 * @returns {Promise<Record<string, any>>}
 */
export async function loadTypeScript(path) {
  opening ??= openEnvironment();
  const { runner } = await opening;
  return runner.import(`${root}${path}`);
}
