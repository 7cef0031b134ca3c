// node tests/bench/matmul.mjs [row-tiles|split-k] [M,M,...]
// Times the weight products of SmolLM2-135M on the adapter Dawn finds (tests/bench/matmul.ts).
import { launch } from "./launch.mjs";

await launch("/tests/bench/matmul.ts");
process.exit(0);
