// node tests/bench/tools.mjs --help
// Whether calls of tools parse and fit, and whether the right tool is called (tests/bench/tools.ts).
import { loadTypeScript } from "../../demo/load-typescript.mjs";

const { main } = await loadTypeScript("tests/bench/tools.ts");
process.exit(await main(process.argv.slice(2)));
