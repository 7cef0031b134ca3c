import * as Comlink from "comlink";
import { openInBrowser } from "../src/api/open-in-browser.ts";
import type { EnginePort } from "../src/api/protocol.ts";
import { EngineService } from "../src/api/service.ts";
import type { ExternalTokenizer } from "../src/api/types.ts";
import { ENGINE_HERE, GREETING } from "../src/api/worker-greeting.ts";

/** The address of this file; undefined where a bundler has made it part of a script that is not a module. */
export const url: string | undefined = import.meta.url;

/** An engine in the calling thread. */
export const engineHere = (tokenizer?: ExternalTokenizer): EnginePort =>
  new EngineService(openInBrowser(globalThis.navigator?.gpu, tokenizer));

// A service worker can only have imported this file beforehand: that is how createEngine finds it there.
Reflect.set(globalThis, ENGINE_HERE, engineHere);

// A page greets its worker with a port. In any other scope, and to any other message, this file does nothing.
if ("DedicatedWorkerGlobalScope" in globalThis) {
  addEventListener("message", ({ data, ports: [port] }) => {
    if (data === GREETING && port) Comlink.expose(engineHere(), port);
  });
}
