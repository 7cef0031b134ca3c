import "./node_modules/winnow-llm/dist/worker.js";
import "./in-worker.js";
