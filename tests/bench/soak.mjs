// node tests/bench/soak.mjs --help
// Whether anything grows in a long chat (tests/bench/soak.ts).
import { loadTypeScript } from "../../demo/load-typescript.mjs";

const { main } = await loadTypeScript("tests/bench/soak.ts");
process.exit(await main(process.argv.slice(2)));
