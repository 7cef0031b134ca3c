/** Shared by all that fetches: requests with retries, and bodies as they come. */
import { defined } from "../defined.ts";
import { throwIfAborted, WinnowError } from "../errors.ts";
import { joined } from "../formats/joined.ts";
import { delay } from "./delay.ts";

const DEFAULT_RETRIES = 4;
const DEFAULT_BACKOFF_MS = 500;
const DEFAULT_SILENCE_MS = 30_000;
/** A server may ask for a longer pause than anybody would wait for. */
const LONGEST_PAUSE_MS = 60_000;

/** What a pause of a download is for, and how long it lasts where that is known. */
export interface Waiting {
  /**
   * "server": it asked to come back later. "connection": it broke or fell silent, and is tried again. "other": another
   * tab, engine or process fetches the same file.
   */
  readonly for: "server" | "connection" | "other";
  readonly seconds?: number;
}

export interface HttpOptions {
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Attempts after the first one. Default 4. */
  readonly retries?: number;
  /** Wait before the first retry, doubled for each further one. Default 500 ms. */
  readonly backoffMs?: number;
  /** For so long a server may send nothing, before its answer or within it; then it is asked again. Default 30 s. */
  readonly silenceMs?: number;
  readonly cache?: RequestCache;
  /** Is told of every pause as it begins. */
  readonly onWait?: (waiting: Waiting) => void;
}

/** A failure that another attempt may cure, unless `details.final` is true. */
export function networkError(
  url: string,
  problem: string,
  {
    hint = "Check the connection and try again; what has arrived is kept.",
    details = {},
    cause,
  }: { hint?: string; details?: Record<string, unknown>; cause?: unknown } = {},
): WinnowError {
  return new WinnowError("network", `${url}: ${problem}`, {
    hint,
    details: { url, ...details },
    cause,
  });
}

/** Statuses that another attempt may cure. */
const isTransient = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || status >= 500;

/** Counts attempts that fail one behind the other, and waits between them. */
export class Retries {
  readonly #options: HttpOptions;
  readonly #signal: AbortSignal | undefined;
  #failures = 0;

  constructor(options: HttpOptions, signal?: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Something came: what failed before no longer counts. */
  reset(): void {
    this.#failures = 0;
  }

  /** Waits before another attempt; throws `error` where another is futile or one too many. */
  async pause(error: unknown): Promise<void> {
    const { retries = DEFAULT_RETRIES, backoffMs = DEFAULT_BACKOFF_MS, onWait } = this.#options;
    const transient =
      error instanceof WinnowError && error.code === "network" && error.details.final !== true;
    if (!transient || this.#failures >= retries) throw error;
    const backoff = backoffMs * 2 ** this.#failures++;
    const { retryAfterMs } = error.details;
    const told = typeof retryAfterMs === "number";
    const ms = told ? Math.max(backoff, Math.min(retryAfterMs, LONGEST_PAUSE_MS)) : backoff;
    onWait?.({ for: told ? "server" : "connection", seconds: ms / 1000 });
    await delay(ms, this.#signal);
  }
}

/**
 * `attempt` again after `network` errors, with growing waits, or those that the server asks for. Any other error, and
 * the last `network` error, is thrown as it is.
 */
export async function withRetries<T>(
  options: HttpOptions,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const retries = new Retries(options, signal);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await retries.pause(error);
    }
  }
}

/** Milliseconds from a Retry-After header, in seconds or as a date; undefined where it is neither. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/**
 * One request. 404 and 410 (and 401 and 403, which the hub gives for repositories that do not
 * exist) throw `model_not_found`; other failures `network`, with `final` where a retry is futile.
 */
export async function request(
  url: string,
  headers: Record<string, string>,
  options: HttpOptions,
  signal?: AbortSignal,
): Promise<Response> {
  throwIfAborted(signal);
  const { fetch: send = globalThis.fetch, cache } = options;
  const late = new AbortController();
  let response: Response;
  try {
    const answer = send(url, {
      headers,
      signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal,
      ...defined({ cache }),
    });
    response = await withinSilence(url, answer, options, signal);
  } catch (cause) {
    throwIfAborted(signal);
    late.abort();
    if (cause instanceof WinnowError) throw cause;
    throw networkError(url, (cause as Error).message, { cause, ...elsewhere(url) });
  }
  if (response.ok || response.status === 416) return response;
  giveUp(response);
  const status = `the server answered ${response.status} ${response.statusText}`.trim();
  if ([401, 403, 404, 410].includes(response.status))
    throw new WinnowError("model_not_found", `${url}: ${status}`, {
      hint: "Check the address; private and gated files cannot be fetched.",
      details: { url, status: response.status },
    });
  const retryAfterMs = retryAfter(response.headers.get("retry-after"));
  throw new WinnowError("network", `${url}: ${status}`, {
    hint: "Try again later; what has arrived is kept.",
    details: {
      url,
      status: response.status,
      final: !isTransient(response.status),
      ...defined({ retryAfterMs }),
    },
  });
}

/** What a page is not told of a file of another origin: whether the connection broke, or the server lacks CORS. */
const elsewhere = (url: string): { hint?: string } => {
  const { location } = globalThis;
  if (location === undefined || new URL(url, location.href).origin === location.origin) return {};
  return {
    hint: "Check the connection, and that the server lets other origins read it (Access-Control-Allow-Origin); what has arrived is kept.",
  };
};

/** Closes the connection of an answer that nobody reads. */
export const giveUp = (response: Response): void => {
  response.body?.cancel().catch(() => undefined);
};

/** Throws `network` where `work` takes longer than a server may be silent, and `aborted` with the signal. */
function withinSilence<T>(
  url: string,
  work: Promise<T>,
  { silenceMs = DEFAULT_SILENCE_MS }: HttpOptions,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      try {
        throwIfAborted(signal);
      } catch (error) {
        reject(error);
      }
    };
    const timer = setTimeout(
      () => reject(networkError(url, `the server sent nothing for ${silenceMs / 1000} s`)),
      silenceMs,
    );
    signal?.addEventListener("abort", stop, { once: true });
    const over = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    };
    work.then(resolve, reject).finally(over);
  });
}

/** The pieces of a body as they come. Throws `network` where it breaks off or falls silent, and `aborted`. */
export async function* bodyOf(
  url: string,
  body: ReadableStream<Uint8Array> | null,
  options: HttpOptions,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      throwIfAborted(signal);
      const reading = reader.read().catch((cause: unknown) => {
        throwIfAborted(signal);
        throw networkError(url, "the connection broke", { cause });
      });
      const { value, done } = await withinSilence(url, reading, options, signal);
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** Servers of single-page apps answer any path with their page. */
export const isWebPage = (response: Response): boolean =>
  /^\s*(text\/html|application\/xhtml\+xml)/i.test(response.headers.get("content-type") ?? "");

/** A whole body in memory: small files. Throws as `bodyOf`. */
export async function readBody(
  url: string,
  response: Response,
  options: HttpOptions,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bodyOf(url, response.body, options, signal)) pieces.push(piece);
  return joined(pieces);
}
