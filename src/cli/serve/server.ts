import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { messageOf, WinnowError } from "../../errors.ts";
import { type AccessRules, admit } from "./access.ts";
import { sendError } from "./answer.ts";
import { HttpError, isFault, SOON } from "./http-error.ts";
import { route, type ServedEngine } from "./routes.ts";
import { type SeatLimits, Seats } from "./seats.ts";

export interface ServeOptions extends AccessRules, SeatLimits {
  /** 0: any that is free. */
  readonly port: number;
  /** Most bytes of a request's body. */
  readonly bodyLimit: number;
  /** Most milliseconds of an answer, waiting included. */
  readonly timeoutMs: number;
  /** Milliseconds that a reader may leave what was sent untouched. */
  readonly stallMs: number;
  /** Is told of faults of the server. */
  report(line: string): void;
}

/** A client sends a request within this time, its body included. */
const REQUEST_MS = 60_000;
const CONNECTIONS = 512;
/** What those who read get to hear that the server stops. */
const LAST_WORDS_MS = 500;

/** An OpenAI-compatible server over an engine, which stays its owner's. */
export class ModelServer {
  private readonly engine: ServedEngine;
  private readonly options: ServeOptions;
  private readonly seats: Seats;
  /** What ends each request that runs. */
  private readonly running = new Set<AbortController>();
  private readonly server: Server;
  private stopping = false;

  /** Listens. Throws invalid_argument where the address is taken or none. */
  static async open(engine: ServedEngine, options: ServeOptions): Promise<ModelServer> {
    const opened = new ModelServer(engine, options);
    await listen(opened.server, options);
    return opened;
  }

  private constructor(engine: ServedEngine, options: ServeOptions) {
    this.engine = engine;
    this.options = options;
    this.seats = new Seats(options);
    this.server = createServer({ requestTimeout: REQUEST_MS }, (request, response) => {
      void this.serve(request, response);
    });
    this.server.maxConnections = CONNECTIONS;
    guardAgainstStalls(this.server, options.stallMs);
  }

  /** "http://127.0.0.1:8080" */
  get url(): string {
    const { host } = this.options;
    const { port } = this.server.address() as AddressInfo;
    return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  /** How many connections are open. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
  }

  /** Takes no more requests, lets those that run go on for `graceMs`, ends them then, and resolves when all is closed. */
  async stop(graceMs: number): Promise<void> {
    this.stopping = true;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    const patience = setTimeout(() => this.abortAll(), graceMs);
    await closed;
    clearTimeout(patience);
  }

  /** Ends what runs, at once. */
  abortAll(): void {
    for (const control of this.running) control.abort(stopped());
    setTimeout(() => this.server.closeAllConnections(), LAST_WORDS_MS);
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { engine, seats, options } = this;
    const { bodyLimit, timeoutMs } = options;
    const control = new AbortController();
    const { signal } = control;
    this.running.add(control);
    response.on("close", () => {
      this.running.delete(control);
      control.abort(new HttpError(499, "the client has left"));
      if (this.stopping) setImmediate(() => this.server.closeIdleConnections());
    });
    const timer = setTimeout(() => control.abort(tooLate(timeoutMs)), timeoutMs);
    // Said at once: the engine may take a token's time to stop.
    signal.addEventListener("abort", () => sendError(response, signal.reason));
    try {
      if (this.stopping) throw stopped();
      if (admit(request, response, options)) return;
      await route({ engine, seats, bodyLimit, request, response, signal });
    } catch (thrown) {
      if (signal.aborted) return;
      if (isFault(thrown)) options.report(messageOf(thrown));
      sendError(response, thrown);
    } finally {
      clearTimeout(timer);
    }
  }
}

const stopped = (): HttpError =>
  new HttpError(503, "the server is stopping", {
    code: "stopping",
    headers: { ...SOON, connection: "close" },
  });

const tooLate = (timeoutMs: number): HttpError =>
  new HttpError(504, `there was no whole answer within ${timeoutMs / 1000} s`, { code: "timeout" });

/**
 * Ends connections whose reader takes nothing of what was sent. Node's timer runs while a write makes no headway; a
 * connection that waits for the model alone begins it anew.
 */
function guardAgainstStalls(server: Server, stallMs: number): void {
  const answering = new WeakSet<Socket>();
  /** Idle connections whose time is over: a client that keeps to it may have sent something on the last moment. */
  const spared = new WeakSet<Socket>();
  server.on("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    answering.add(socket);
    spared.delete(socket);
    response.on("close", () => answering.delete(socket));
  });
  server.timeout = stallMs;
  server.on("timeout", (socket) => {
    const waits = answering.has(socket) ? socket.writableLength === 0 : !spared.has(socket);
    if (!waits) return void socket.destroy();
    if (!answering.has(socket)) spared.add(socket);
    socket.setTimeout(stallMs);
  });
}

function listen(server: Server, { host, port }: ServeOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const taken = cause.code === "EADDRINUSE" || cause.code === "EACCES";
      const message = taken
        ? `--port: ${port} is taken, or may not be opened`
        : `--host: ${host} is no address of this machine (${cause.message})`;
      const hint = taken ? "Name another; 0 takes any that is free." : "";
      reject(new WinnowError("invalid_argument", message, { hint, cause }));
    });
    server.listen(port, host, () => resolve());
  });
}
