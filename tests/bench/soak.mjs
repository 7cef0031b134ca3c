// node tests/bench/soak.mjs [tiny|real] [tokens]: see tests/bench/soak.ts.
import { launch } from "./launch.mjs";

process.exit(Number(await launch("/tests/bench/soak.ts")));
