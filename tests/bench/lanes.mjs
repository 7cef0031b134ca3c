// node tests/bench/lanes.mjs --help
// Tokens per second of several sequences that step together (tests/bench/lanes.ts).
import { loadTypeScript } from "../../demo/load-typescript.mjs";

const { main } = await loadTypeScript("tests/bench/lanes.ts");
process.exit(await main(process.argv.slice(2)));
