import { run, safely } from "./by-path.js";

// Where this is a service worker, "winnow-llm/service-worker" is imported before.
export const answer = async (reply) => reply.postMessage(await safely(run()));
globalThis.onmessage = (event) => event.waitUntil(answer(event.source));
globalThis.onconnect = ({ ports: [port] }) => void answer(port);
