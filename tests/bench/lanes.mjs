// node tests/bench/lanes.mjs MODEL.gguf [LANES,LANES,...] [STEPS] [ROUNDS]
// Tokens per second of several sequences that step together (tests/bench/lanes.ts).
import { launch } from "./launch.mjs";

await launch("/tests/bench/lanes.ts");
process.exit(0);
