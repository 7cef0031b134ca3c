import { asWinnowError, WinnowError } from "../../errors.ts";
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
  private refused: { error: unknown } | undefined;
  /** Why no answer comes any more. */
  private ended: { error: unknown } | undefined;
  private next = 1;
  /** Settles when what was called earlier has been sent. */
  private sent: Promise<unknown> = Promise.resolve();

  constructor({ port, failed }: Connection) {
    this.port = port;
    failed.catch((error) => this.end(error));
  }

  /** There are no more calls; those that were made are sent and answered. */
  refuse(error: unknown): void {
    this.refused = { error };
  }

  /** No answer comes any more. */
  end(error: unknown): void {
    this.refused ??= { error };
    this.ended ??= this.refused;
    for (const leave of this.waiting) leave(error);
  }

  /**
   * Calls are sent in the order of their turns. One that has what it `needs` is sent at once, or never.
   * Throws closed, or what the worker died of, where there are no more calls.
   */
  turn<T>(needs?: T | Promise<T>): Promise<T> {
    if (this.refused) throw this.refused.error;
    const before = this.sent;
    const turn = Promise.all([needs as T, before]).then(([needed]) => needed);
    this.sent = before.then(() => turn).catch(() => {});
    return turn;
  }

  /** A call in its turn. */
  async call<T>(send: (port: EnginePort) => Promise<T>): Promise<T> {
    await this.turn();
    return this.send(send);
  }

  /** Not a race with what ends all calls: a promise that never settles would keep every answer in memory. */
  async send<T>(send: (port: EnginePort) => Promise<T>): Promise<T> {
    if (this.ended) throw this.ended.error;
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

  /** A call in its turn that `signal` stops. */
  async abortable<T>(
    what: string,
    signal: AbortSignal | undefined,
    send: (port: EnginePort, call: number) => Promise<T>,
  ): Promise<T> {
    await this.turn();
    return this.sendAbortable(what, signal, send);
  }

  /** A call that `signal` stops, sent at once; `what` is for the message where it has fired already. */
  async sendAbortable<T>(
    what: string,
    signal: AbortSignal | undefined,
    send: (port: EnginePort, call: number) => Promise<T>,
  ): Promise<T> {
    if (signal?.aborted) throw new WinnowError("aborted", `${what} was aborted before it began`);
    const call = this.next++;
    const abort = (): void => void this.port.abort(call);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await this.send((port) => send(port, call));
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }
}
