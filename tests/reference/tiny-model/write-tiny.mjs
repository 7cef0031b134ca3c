// node tests/reference/tiny-model/write-tiny.mjs FOLDER: writes tiny-*.gguf there, for generate.py and by hand.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runnerImport } from "vite";

const [folder = "--help"] = process.argv.slice(2);
const path = join(import.meta.dirname, "tiny-model.ts");
const { module } = await runnerImport(path, { configFile: false, logLevel: "error" });
if (folder === "--help") {
  console.log("usage: node tests/reference/tiny-model/write-tiny.mjs FOLDER");
  process.exit(0);
}
mkdirSync(folder, { recursive: true });
for (const name of Object.keys(module.TINY_MODELS))
  writeFileSync(join(folder, `tiny-${name}.gguf`), module.tinyModel(name));
