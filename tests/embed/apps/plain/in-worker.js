import { run, safely } from "./by-path.js";

// A service worker can import the engine's code beforehand alone: "winnow-llm/worker".
const answer = async (reply) => reply.postMessage(await safely(run()));
globalThis.onmessage = (event) => event.waitUntil(answer(event.source));
globalThis.onconnect = ({ ports: [port] }) => void answer(port);
