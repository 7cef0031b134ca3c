/** Which version of a file an answer is of, and which part of it. */
import { networkError } from "./http.ts";

/** What a server says of a file's version; pages of other origins may be shown only the date, or nothing. */
export interface Validators {
  readonly etag?: string;
  readonly lastModified?: string;
}

export function validatorsOf({ headers }: Response): Validators {
  const etag = headers.get("etag");
  const lastModified = headers.get("last-modified");
  return {
    ...(etag === null ? {} : { etag }),
    ...(lastModified === null ? {} : { lastModified }),
  };
}

export const hasValidator = ({ etag, lastModified }: Validators): boolean =>
  etag !== undefined || lastModified !== undefined;

/** Whether two answers are of one version of a file; undefined where nothing that both say tells. */
export function sameVersion(one: Validators, other: Validators): boolean | undefined {
  // Compression on the way makes a strong tag a weak one of the same name.
  const tag = ({ etag }: Validators) => etag?.replace(/^W\//, "");
  for (const read of [tag, ({ lastModified }: Validators) => lastModified]) {
    const [a, b] = [read(one), read(other)];
    if (a !== undefined && b !== undefined) return a === b;
  }
  return undefined;
}

/**
 * If-Range makes a changed file come whole instead of in part. Only same-origin, or outside a page: elsewhere it would
 * cost a CORS preflight, which file hosts tend to refuse, so callers also compare what the answer says. Weak tags are
 * not allowed in it.
 */
export function ifRangeHeader(
  url: string,
  { etag, lastModified }: Validators,
): Record<string, string> {
  const validator = etag === undefined ? lastModified : etag.startsWith('"') ? etag : undefined;
  if (validator === undefined) return {};
  const origin = globalThis.location?.origin;
  if (origin !== undefined && new URL(url, globalThis.location.href).origin !== origin) return {};
  return { "If-Range": validator };
}

/** Bytes [start, end) of a file, and of how many where the server says. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
  readonly total: number | undefined;
}

/** Whether an answer comes compressed: its lengths and ranges are then of what it is compressed to, and not of the file. */
export const isCompressed = ({ headers }: Response): boolean =>
  !/^\s*(identity)?\s*$/i.test(headers.get("content-encoding") ?? "");

/** Bytes that an answer says it carries; undefined where nothing says so, or where they come compressed. */
export function plainLength(response: Response): number | undefined {
  const length = response.headers.get("content-length");
  return length !== null && /^\d+$/.test(length) && !isCompressed(response)
    ? Number(length)
    : undefined;
}

/**
 * What Content-Range says, whatever the status; undefined where there is none of the file (or none that this origin may read).
 * @throws WinnowError `network`, final, where it contradicts itself or the answer's length.
 */
export function rangeOf(url: string, response: Response): ByteRange | undefined {
  const header = response.headers.get("content-range");
  if (header === null || isCompressed(response)) return undefined;
  const match = /^\s*bytes\s+(\d+)-(\d+)\/(\d+|\*)\s*$/i.exec(header);
  if (match === null) throw contradiction(url, `Content-Range "${header}" is no range`);
  const [start, last] = [Number(match[1]), Number(match[2])];
  const total = match[3] === "*" ? undefined : Number(match[3]);
  const length = plainLength(response) ?? last + 1 - start;
  if (start > last || last >= (total ?? Number.MAX_SAFE_INTEGER) || length !== last + 1 - start)
    throw contradiction(url, `Content-Range "${header}" does not fit ${length} bytes`);
  return { start, end: last + 1, total };
}

/** A `network` error that another request would not cure. */
export const contradiction = (
  url: string,
  problem: string,
  hint = "The server, or something before it, answers ranges wrongly: get the file from elsewhere.",
) =>
  networkError(url, `the server contradicts itself: ${problem}`, {
    hint,
    details: { field: "content-range", final: true },
  });
