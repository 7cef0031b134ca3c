// npm run size: gzip kB of what a page loads besides weights and the demo until the first token of a model out of the
// browser's storage can be drawn, with chat templates and the kernels of the adapter's kind; fails above the limit. A first
// visit loads fetch-file.js besides.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT_KB = 120;
const dist = fileURLToPath(new URL("../dist", import.meta.url));
if (!existsSync(join(dist, "index.js"))) {
  console.error("dist/index.js is missing: run npm run build first");
  process.exit(1);
}

/** index.js, what it imports statically, and the worker. @param {string} file @param {Set<string>} seen */
function collect(file, seen) {
  if (seen.has(file)) return seen;
  seen.add(file);
  const code = readFileSync(join(dist, file), "utf8");
  for (const [, next] of code.matchAll(/(?:from|import)\s*["'`]\.\/([^"'`]+\.js)["'`]/g))
    collect(next ?? "", seen);
  return seen;
}

/** Prints a line a file; the sum. @param {Iterable<string>} files */
function print(files) {
  let total = 0;
  for (const file of files) {
    const bytes = gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;
    total += bytes;
    console.log(`${(bytes / 1000).toFixed(1).padStart(7)} kB  ${file}`);
  }
  return total;
}

/** Chunks that the worker loads while the weights come: templates, and what the adapter's kind needs. */
const ADAPTERS = {
  gpu: ["jinja.js", "on-gpus.js", "tuning.js"],
  cpu: ["jinja.js", "on-processors.js"],
};
const core = collect("engine.worker.js", collect("index.js", new Set()));
const coreBytes = print(core);
const totals = Object.entries(ADAPTERS).map(([kind, chunks]) => {
  const files = chunks.reduce((seen, file) => collect(file, seen), new Set());
  const total = coreBytes + print([...files].filter((file) => !core.has(file)));
  console.log(`${(total / 1000).toFixed(1).padStart(7)} kB  ${kind}, of ${LIMIT_KB} allowed`);
  return total / 1000;
});
const wasm = readdirSync(dist, { recursive: true }).filter((name) =>
  String(name).endsWith(".wasm"),
);
if (wasm.length > 0) console.error(`WebAssembly in dist: ${wasm.join(", ")}`);
process.exit(Math.max(...totals) <= LIMIT_KB && wasm.length === 0 ? 0 : 1);
