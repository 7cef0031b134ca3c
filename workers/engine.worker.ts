import * as Comlink from "comlink";
import { carryErrors } from "../src/api/carry-errors.ts";
import { GREETING } from "../src/api/page/worker-greeting.ts";
import type { EnginePort } from "../src/api/protocol.ts";
import type { ExternalTokenizer } from "../src/api/types.ts";
import { openInBrowser } from "../src/api/worker/open-in-browser.ts";
import { EngineService } from "../src/api/worker/service.ts";

/** The address of this file; undefined where a bundler has made it part of a script that is not a module. */
export const url: string | undefined = import.meta.url;

/** An engine in the calling thread. */
export const engineHere = (tokenizer?: ExternalTokenizer): EnginePort =>
  new EngineService(openInBrowser(globalThis.navigator?.gpu, tokenizer));

// A page greets its worker with a port. In any other scope, and to any other message, this file does nothing.
if ("DedicatedWorkerGlobalScope" in globalThis) {
  addEventListener("message", ({ data, ports: [port] }) => {
    if (data !== GREETING || !port) return;
    carryErrors();
    Comlink.expose(engineHere(), port);
  });
}
