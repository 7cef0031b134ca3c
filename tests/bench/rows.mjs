// node tests/bench/rows.mjs --help
// What it costs that rows of Gemma 4's table come from the browser's storage (tests/bench/rows.ts).
import { loadTypeScript } from "../../demo/load-typescript.mjs";

const { main } = await loadTypeScript("tests/bench/rows.ts");
process.exit(await main(process.argv.slice(2)));
