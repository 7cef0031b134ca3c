// npm run bench -- --help
// Compares Winnow with transformers.js and wllama in one Chromium (tests/bench/README.md).
import { loadTypeScript } from "../../demo/load-typescript.mjs";

let code = 1;
try {
  const { main } = await loadTypeScript("tests/bench/comparison/main.ts");
  code = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
}
process.exit(code);
