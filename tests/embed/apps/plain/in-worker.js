import { run, safely } from "./by-path.js";

// A service worker can import the engine's code beforehand alone: "winnow-llm/worker".
// Nor can it import filters later.
const filters = "./node_modules/winnow-llm/public/filters/smollm2-135m-instruct.safetensors";
const options = "ServiceWorkerGlobalScope" in globalThis ? { filters } : {};
const answer = async (reply) => reply.postMessage(await safely(run(options)));
globalThis.onmessage = (event) => event.waitUntil(answer(event.source));
globalThis.onconnect = ({ ports: [port] }) => void answer(port);
