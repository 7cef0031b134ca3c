// npm run size: gzip kB of what a page loads besides weights and the demo until the first token of the default model
// with default settings, out of the browser's storage, can be drawn; fails above the limit. Its chunks are imported
// statically: all but chat templates, and on-processors.js on software adapters, on-gpus.js and tune-products.js on GPUs.
// A first visit loads fetch-file.js besides.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT_KB = 83;
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

const core = collect("engine.worker.js", collect("index.js", new Set()));
const total = print(core);
console.log(`${(total / 1000).toFixed(1).padStart(7)} kB  core, of ${LIMIT_KB} allowed`);
// The worker loads them while the weights come.
const later = ["jinja.js", "on-processors.js", "on-gpus.js", "tune-products.js", "fetch-file.js"];
const besides = later.reduce((seen, file) => collect(file, seen), new Set());
print([...besides].filter((file) => !core.has(file)));
const wasm = readdirSync(dist, { recursive: true }).filter((name) =>
  String(name).endsWith(".wasm"),
);
if (wasm.length > 0) console.error(`WebAssembly in dist: ${wasm.join(", ")}`);
process.exit(total / 1000 <= LIMIT_KB && wasm.length === 0 ? 0 : 1);
