import { asWinnowError } from "../../errors.ts";
import type { EnginePort } from "../protocol.ts";

/** A port and how to end what stands behind it; `failed` rejects when it dies by itself. */
export interface Connection {
  port: EnginePort;
  failed: Promise<never>;
  /** Wraps a callback so that it can cross to the port. */
  proxy<T extends (...args: never[]) => void>(callback: T): T;
  end(): void;
}

/** Calls over a connection, which all end when it does. */
export class Calls {
  private readonly port: EnginePort;
  /** Ends every call that waits for its answer. */
  private readonly waiting = new Set<(error: unknown) => void>();
  /** Why there are no more calls. */
  private ended: { error: unknown } | undefined;

  constructor({ port, failed }: Connection) {
    this.port = port;
    failed.catch((error) => this.end(error));
  }

  /** No answer comes any more. */
  end(error: unknown): void {
    this.ended ??= { error };
    for (const leave of this.waiting) leave(error);
  }

  /** Throws what calls ended of. */
  checkOpen(): void {
    if (this.ended) throw this.ended.error;
  }

  /** Not a race with what ends all calls: a promise that never settles would keep every answer in memory. */
  async call<T>(send: (port: EnginePort) => Promise<T>): Promise<T> {
    let leave: (error: unknown) => void = () => {};
    const ended = new Promise<never>((_resolve, reject) => {
      leave = reject;
      this.waiting.add(leave);
    });
    try {
      return await Promise.race([send(this.port), ended]);
    } catch (error) {
      throw asWinnowError(error);
    } finally {
      this.waiting.delete(leave);
    }
  }
}
