import type { ServerResponse } from "node:http";

/** Bytes of an answer that may wait for its reader: far more than one who keeps up ever leaves. */
const MOST_WAITING = 2 ** 20;
/** Milliseconds after which a stream without news says that it lives: what stands between may give up on a silent one. */
const SIGN_OF_LIFE_MS = 10_000;

const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  // For nginx, which would keep events back.
  "x-accel-buffering": "no",
};

/** An answer as server-sent events. */
export class EventStream {
  private readonly response: ServerResponse;
  private readonly alive: NodeJS.Timeout;

  constructor(response: ServerResponse) {
    this.response = response;
    // An error may have been sent meanwhile.
    if (!response.headersSent) response.writeHead(200, HEADERS);
    this.alive = setInterval(() => this.write(": working\n\n"), SIGN_OF_LIFE_MS);
    response.on("close", () => clearInterval(this.alive));
  }

  send(value: unknown): void {
    this.write(`data: ${JSON.stringify(value)}\n\n`);
  }

  end(): void {
    this.write("data: [DONE]\n\n");
    this.response.end();
  }

  /**
   * The answer does not wait for its reader, who would keep a place in the engine that others want. What is left unread is
   * bounded: beyond that the connection ends, and the answer with it.
   */
  private write(text: string): void {
    const { response } = this;
    if (response.destroyed || response.writableEnded) return;
    this.alive.refresh();
    response.write(text);
    if (response.writableLength > MOST_WAITING) response.destroy();
  }
}
