import type { EnginePort } from "../protocol.ts";
import type { Connection } from "./connection.ts";

/** The engine in the caller's own thread: Node, scopes without workers, and pages that bring their own tokenizer. */
export const connectLocal = (port: EnginePort): Connection => ({
  port,
  failed: new Promise<never>(() => {}),
  proxy: (callback) => callback,
  end: () => {},
});
