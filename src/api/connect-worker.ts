import * as Comlink from "comlink";
import { WinnowError } from "../errors.ts";
import type { Connection } from "./client.ts";
import type { EnginePort } from "./protocol.ts";

/**
 * Starts the engine's worker. The literal `new Worker(new URL(...), { type: "module" })` is what
 * bundlers look for: keep its form.
 */
export function connectWorker(): Connection {
  const worker = new Worker(new URL("../../workers/engine.worker.ts", import.meta.url), {
    type: "module",
    name: "winnow",
  });
  const failed = new Promise<never>((_resolve, reject) => {
    worker.onerror = (event) =>
      reject(
        new WinnowError(
          "internal",
          `the engine's worker failed: ${event.message || "its script did not load"}`,
          {
            hint: "Check that the bundler emitted engine.worker.js and that the page's CSP allows workers.",
          },
        ),
      );
    worker.onmessageerror = () =>
      reject(new WinnowError("internal", "a message could not be read"));
  });
  failed.catch(() => {});
  return {
    // Comlink's Remote type turns sync methods async and is otherwise the same shape.
    port: Comlink.wrap<EnginePort>(worker) as unknown as EnginePort,
    failed,
    proxy: (callback) => Comlink.proxy(callback),
    end: () => worker.terminate(),
  };
}
