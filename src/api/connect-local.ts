import type { Connection } from "./client.ts";
import { EngineService, type OpenEngine } from "./service.ts";

/** The engine in the caller's own thread: Node, and pages that bring their own tokenizer. */
export function connectLocal(open: OpenEngine): Connection {
  return {
    port: new EngineService(open),
    failed: new Promise<never>(() => {}),
    proxy: (callback) => callback,
    end: () => {},
  };
}
