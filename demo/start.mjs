// npm start: the default model into .cache/models, the chat page built and served on this machine.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadTypeScript } from "./load-typescript.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const DEFAULT_PORT = 4173;

function readPort() {
  const { values } = parseArgs({
    options: { port: { type: "string" }, help: { type: "boolean" } },
  });
  if (values.help) {
    console.log(
      `usage: npm start -- [--port PORT]    (default ${DEFAULT_PORT}; 0: any that is free)`,
    );
    process.exit(0);
  }
  const port = Number(values.port ?? DEFAULT_PORT);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Error(
      `--port: must be an integer from 0 to 65535, not ${JSON.stringify(values.port)}`,
    );
  }
  return port;
}

/** @returns {Promise<void>} */
function build() {
  console.log("Building the chat page...");
  return new Promise((resolve, reject) => {
    const vite = join(root, "node_modules/vite/bin/vite.js");
    const child = spawn(process.execPath, [vite, "build", "--mode", "demo", "--logLevel", "warn"], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.on("error", reject);
    child.on("exit", (status) =>
      status === 0 ? resolve() : reject(new Error(`the build failed (exit ${status})`)),
    );
  });
}

try {
  const port = readPort();
  const models = join(root, ".cache/models");
  const { prepareModel } = await loadTypeScript("demo/prepare-model.ts");
  await prepareModel(models);
  await build();
  const { serveStatic } = await loadTypeScript("src/node/static-server.ts");
  const { url, port: served } = await serveStatic(
    { "/": join(root, "dist/demo"), "/models/": models },
    port,
  );
  if (port !== 0 && served !== port) console.log(`Port ${port} is not free: using ${served}.`);
  console.log(`\nWinnow is ready: ${url}\nStop with Ctrl-C.`);
} catch (error) {
  const { message, hint } = /** @type {{ message: string, hint?: string }} */ (error);
  console.error(`npm start: ${message}${hint ? `\n${hint}` : ""}`);
  process.exit(1);
}
