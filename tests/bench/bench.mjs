// npm run bench -- --help
// Compares Winnow with transformers.js and wllama in one Chromium (tests/bench/README.md).
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
let code = 1;
try {
  const { main } = await server.ssrLoadModule("/tests/bench/main.ts");
  code = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
}
await server.close();
process.exit(code);
