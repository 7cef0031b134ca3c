// node tests/bench/constraint.mjs --help
// What a response format costs, and whether answers are valid (tests/bench/constraint.ts).
import { loadTypeScript } from "../../demo/load-typescript.mjs";

const { main } = await loadTypeScript("tests/bench/constraint.ts");
process.exit(await main(process.argv.slice(2)));
