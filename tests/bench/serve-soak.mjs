// node tests/bench/serve-soak.mjs --help
// Whether winnow serve withstands what clients do (tests/bench/serve-soak.ts).
import { loadTypeScript } from "../../demo/load-typescript.mjs";

const { main } = await loadTypeScript("tests/bench/serve-soak.ts");
process.exit(await main(process.argv.slice(2)));
