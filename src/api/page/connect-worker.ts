import * as Comlink from "comlink";
import { WinnowError } from "../../errors.ts";
import { carryErrors } from "../carry-errors.ts";
import type { EnginePort } from "../protocol.ts";
import type { Connection } from "./connection.ts";
import { GREETING } from "./worker-greeting.ts";

/** Talks to a worker that runs `workers/engine.worker.ts`; `hint` says what to do where its script does not load. */
export function connectWorker(worker: Worker, hint: string, end: () => void): Connection {
  const { port1: port, port2 } = new MessageChannel();
  const failed = new Promise<never>((_resolve, reject) => {
    worker.addEventListener("error", (event) => {
      const problem = event.message || "its script did not load";
      reject(new WinnowError("no_worker", `the engine's worker failed: ${problem}`, { hint }));
    });
    port.addEventListener("messageerror", () =>
      reject(new WinnowError("internal", "a message could not be read")),
    );
  });
  failed.catch(() => {});
  carryErrors();
  worker.postMessage(GREETING, [port2]);
  return {
    // Comlink's Remote type turns sync methods async and is otherwise the same shape.
    port: Comlink.wrap<EnginePort>(port) as unknown as EnginePort,
    failed,
    proxy: (callback) => Comlink.proxy(callback),
    end: () => {
      port.close();
      end();
    },
  };
}
