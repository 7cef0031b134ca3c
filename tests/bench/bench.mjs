// npm run bench -- --help
// Compares Winnow with transformers.js and wllama in one Chromium (tests/bench/README.md).
import { launch } from "./launch.mjs";

let code = 1;
try {
  code = Number(await launch("/tests/bench/main.ts"));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
}
process.exit(code);
