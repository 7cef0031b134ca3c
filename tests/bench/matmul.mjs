// node tests/bench/matmul.mjs [row-tiles|split-k] [M,M,...]
// Times the weight products of SmolLM2-135M on the adapter Dawn finds (tests/bench/matmul.ts).
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
const { main } = await server.ssrLoadModule("/tests/bench/matmul.ts");
await main(process.argv.slice(2));
await server.close();
process.exit(0);
