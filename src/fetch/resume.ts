import { WinnowError } from "../errors.ts";
import { type HttpOptions, ifRangeHeader, isWebPage, parseContentRange, request } from "./http.ts";

/** A response that carries the file's bytes from `start` to its end. */
export interface Answer {
  readonly body: ReadableStream<Uint8Array> | null;
  readonly start: number;
  /** Bytes of the whole file, where the server says. */
  readonly size: number | undefined;
  readonly etag: string | undefined;
}

const headerNumber = (response: Response, name: string): number | undefined => {
  const text = response.headers.get(name);
  return text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
};

/**
 * Asks for the bytes from `start` on. A server that ignores ranges, or whose file is no longer the
 * one `etag` names, gives the whole file: then the answer starts at 0.
 * @throws WinnowError `model_not_found` (also for a web page where a model should be), `network`.
 */
export async function requestFrom(
  url: string,
  start: number,
  options: HttpOptions & { readonly etag?: string | undefined; readonly signal?: AbortSignal },
): Promise<Answer> {
  const { etag: known, signal } = options;
  const headers: Record<string, string> =
    start > 0 ? { Range: `bytes=${start}-`, ...ifRangeHeader(url, known) } : {};
  const response = await request(url, headers, options, signal);
  const etag = response.headers.get("etag") ?? undefined;

  if (isWebPage(response)) {
    await response.body?.cancel().catch(() => undefined);
    throw new WinnowError("model_not_found", `${url}: a web page is there, not a model`, {
      hint: "Check the address.",
      details: { url },
    });
  }
  if (response.status === 416) {
    // All bytes are there already, or the file has become shorter.
    await response.body?.cancel().catch(() => undefined);
    const total = /^bytes \*\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1];
    if (Number(total) === start && (known === undefined || etag === undefined || etag === known))
      return { body: null, start, size: start, etag: etag ?? known };
    return requestFrom(url, 0, options);
  }
  const length = headerNumber(response, "content-length");
  if (response.status === 206) {
    const range = parseContentRange(response.headers.get("content-range"));
    const changed = known !== undefined && etag !== undefined && etag !== known;
    if (changed || (range !== undefined && range.start !== start)) {
      await response.body?.cancel().catch(() => undefined);
      return requestFrom(url, 0, options);
    }
    // Content-Range may be hidden from other origins; Content-Length never is.
    const size = range?.total ?? (length === undefined ? undefined : start + length);
    return { body: response.body, start, size, etag: etag ?? known };
  }
  // A compressed response's length says nothing about the file's.
  const plain = response.headers.get("content-encoding") === null;
  return { body: response.body, start: 0, size: plain ? length : undefined, etag };
}
