/** Shared by the ranged source and the downloader: URLs, requests with retries, Content-Range. */
import { throwIfAborted, WinnowError } from "../errors.ts";

export interface HubFile {
  readonly repo: string;
  readonly file: string;
  readonly revision?: string;
}

export const DEFAULT_RETRIES = 4;
export const DEFAULT_BACKOFF_MS = 500;

export interface HttpOptions {
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Attempts after the first one. Default 4. */
  readonly retries?: number;
  /** Wait before the first retry, doubled for each further one. Default 500 ms. */
  readonly backoffMs?: number;
}

/** The address of a file in a Hugging Face repository. */
export function hubUrl({ repo, file, revision = "main" }: HubFile): string {
  const encode = (path: string) => path.split("/").map(encodeURIComponent).join("/");
  return `https://huggingface.co/${encode(repo)}/resolve/${encodeURIComponent(revision)}/${encode(file)}`;
}

const HUB_FILE = /^https:\/\/huggingface\.co\/([^/?#]+\/[^/?#]+)\/resolve\/([^/?#]+)\/([^?#]+)/;

/** The file that an address of the hub names; the inverse of `hubUrl`. */
export function hubFileOf(url: string): Required<HubFile> | undefined {
  const match = HUB_FILE.exec(url);
  if (match === null) return undefined;
  try {
    const [repo, revision, file] = match.slice(1).map(decodeURIComponent);
    return { repo: repo!, revision: revision!, file: file! };
  } catch {
    return undefined;
  }
}

/** The last part of a URL's path, for messages and names. */
export function fileNameOf(url: string): string {
  const path = url.split(/[?#]/, 1)[0] as string;
  return path.slice(path.lastIndexOf("/") + 1) || url;
}

export function networkError(url: string, problem: string, cause?: unknown): WinnowError {
  return new WinnowError("network", `${url}: ${problem}`, {
    hint: "Check the connection and try again; what has arrived is kept.",
    details: { url },
    cause,
  });
}

/** Waits, or throws `aborted` as soon as the signal fires. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new WinnowError("aborted", "the operation was aborted", { cause: signal?.reason }));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Statuses that another attempt may cure. */
const isTransient = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || status >= 500;

/**
 * `attempt` again after `network` errors, with growing waits. Any other error, and the last
 * `network` error, is thrown as it is.
 */
export async function withRetries<T>(
  options: HttpOptions,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const { retries = DEFAULT_RETRIES, backoffMs = DEFAULT_BACKOFF_MS } = options;
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      const transient =
        error instanceof WinnowError && error.code === "network" && error.details.final !== true;
      if (!transient || failures >= retries) throw error;
      await delay(backoffMs * 2 ** failures, signal);
    }
  }
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
  const send = options.fetch ?? globalThis.fetch;
  let response: Response;
  try {
    response = await send(url, { headers, ...(signal === undefined ? {} : { signal }) });
  } catch (cause) {
    throwIfAborted(signal);
    throw networkError(url, (cause as Error).message, cause);
  }
  if (response.ok || response.status === 416) return response;
  await response.body?.cancel().catch(() => undefined);
  const status = `the server answered ${response.status} ${response.statusText}`.trim();
  if ([401, 403, 404, 410].includes(response.status))
    throw new WinnowError("model_not_found", `${url}: ${status}`, {
      hint: "Check the address; private and gated files cannot be fetched.",
      details: { url, status: response.status },
    });
  throw new WinnowError("network", `${url}: ${status}`, {
    hint: "Try again later; what has arrived is kept.",
    details: { url, status: response.status, final: !isTransient(response.status) },
  });
}

/**
 * If-Range makes a changed file come whole instead of in part. Only same-origin, or outside a page:
 * elsewhere it would cost a CORS preflight, which file hosts tend to refuse, so callers also compare
 * the ETag of what comes. Weak validators are not allowed in it.
 */
export function ifRangeHeader(url: string, etag: string | undefined): Record<string, string> {
  if (etag === undefined || !etag.startsWith('"')) return {};
  const origin = globalThis.location?.origin;
  if (origin !== undefined && new URL(url, globalThis.location.href).origin !== origin) return {};
  return { "If-Range": etag };
}

/** Servers of single-page apps answer any path with their page. */
export const isWebPage = (response: Response): boolean =>
  /^\s*(text\/html|application\/xhtml\+xml)/i.test(response.headers.get("content-type") ?? "");

/** A body that breaks off is a network failure too. */
export async function readBody(url: string, response: Response, signal?: AbortSignal) {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throwIfAborted(signal);
    throw networkError(url, "the connection broke", cause);
  }
}

/** `bytes 0-99/1234` -> { start: 0, total: 1234 }; undefined for anything else. */
export function parseContentRange(
  header: string | null,
): { start: number; total: number } | undefined {
  const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(header ?? "");
  if (match === null) return undefined;
  return { start: Number(match[1]), total: Number(match[2]) };
}
