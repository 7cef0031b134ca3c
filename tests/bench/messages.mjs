// node tests/bench/messages.mjs --help
// What each policy keeps of every message of a chat (tests/bench/messages.ts).
import { loadTypeScript } from "../../demo/load-typescript.mjs";

const { main } = await loadTypeScript("tests/bench/messages.ts");
process.exit(await main(process.argv.slice(2)));
