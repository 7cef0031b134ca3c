// node tests/bench/soak.mjs [tiny|real] [tokens]: see tests/bench/soak.ts.
import { fileURLToPath } from "node:url";
import { createServer } from "vite";

const server = await createServer({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  configFile: false,
  appType: "custom",
  logLevel: "error",
  optimizeDeps: { noDiscovery: true },
  server: { middlewareMode: true, hmr: false, watch: null },
});
const { main } = await server.ssrLoadModule("/tests/bench/soak.ts");
const code = await main(process.argv.slice(2));
await server.close();
process.exit(code);
