import { fileURLToPath } from "node:url";
import { createServer } from "vite";
import { wgslModules } from "../../shaders/build/vite-plugin.mjs";

/**
 * Runs `main(args)` of a TypeScript module and returns what it returns. Vite stays open meanwhile, for modules
 * that are imported late.
 * @param {string} path from the repository's root, with a leading slash
 * @returns {Promise<unknown>}
 */
export async function launch(path) {
  const server = await createServer({
    root: fileURLToPath(new URL("../..", import.meta.url)),
    configFile: false,
    appType: "custom",
    logLevel: "error",
    plugins: [wgslModules()],
    optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, hmr: false, watch: null },
  });
  try {
    const { main } = await server.ssrLoadModule(path);
    return await main(process.argv.slice(2));
  } finally {
    await server.close();
  }
}
