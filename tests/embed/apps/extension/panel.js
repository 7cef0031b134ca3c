import { run, safely } from "./by-path.js";

const model = new URLSearchParams(location.search).get("model");
globalThis.result = safely(run({ model }));
