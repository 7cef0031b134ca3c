import "./node_modules/winnow-llm/dist/worker.js";
import { run, safely } from "./by-path.js";

globalThis.answer = (model) => safely(run({ model }));
