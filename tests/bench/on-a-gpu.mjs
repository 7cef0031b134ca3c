// node tests/bench/on-a-gpu.mjs --help
// Everything that a machine with a GPU is wanted for, in one go and one file (tests/bench/on-a-gpu.ts).
import { loadTypeScript } from "../../demo/load-typescript.mjs";

const { main } = await loadTypeScript("tests/bench/on-a-gpu.ts");
process.exit(await main(process.argv.slice(2)));
