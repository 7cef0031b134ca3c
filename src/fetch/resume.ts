import { WinnowError } from "../errors.ts";
import { giveUp, type HttpOptions, isWebPage, networkError, request } from "./http.ts";
import {
  contradiction,
  ifRangeHeader,
  isCompressed,
  plainLength,
  rangeOf,
  sameVersion,
  type Validators,
  validatorsOf,
} from "./validators.ts";

/** A response that carries the file's bytes from `start` on. */
export interface Answer {
  readonly body: ReadableStream<Uint8Array> | null;
  readonly start: number;
  /** Where its bytes end, if that is said: some servers answer a range in pieces. */
  readonly end: number | undefined;
  /** Bytes of the whole file, where something tells for certain. */
  readonly size: number | undefined;
  readonly validators: Validators;
}

export interface AskOptions extends HttpOptions {
  /** Validators of the part that is held. */
  readonly validators?: Validators;
  /** The bytes at this address are what they were, whatever the server says: a hash is known, or a commit. */
  readonly pinned?: boolean;
  /** Known size of the file. */
  readonly bytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * Asks for the bytes from `start` on. Where they are not to be had, or not known to be of the same version, the whole
 * file comes: then the answer starts at 0.
 * @throws WinnowError `model_not_found` (also for a web page where a model should be), `network`.
 */
export async function requestFrom(
  url: string,
  start: number,
  options: AskOptions,
): Promise<Answer> {
  return (start > 0 ? await requestRest(url, start, options) : undefined) ?? whole(url, options);
}

async function requestRest(
  url: string,
  start: number,
  options: AskOptions,
): Promise<Answer | undefined> {
  const { validators: known = {}, pinned = false, signal } = options;
  const headers = { Range: `bytes=${start}-`, ...ifRangeHeader(url, known) };
  const response = await ask(url, headers, options, signal);
  const validators = validatorsOf(response);
  const same = sameVersion(known, validators);
  if (same === true || (pinned && same !== false)) {
    // All bytes are there already, or the file has become shorter.
    const held = new RegExp(`^bytes \\*/${start}$`).test(
      response.headers.get("content-range") ?? "",
    );
    if (response.status === 416 && held)
      return { body: null, start, end: start, size: start, validators };
    const range = response.status === 416 ? undefined : readRange(url, response);
    const partial = response.status === 206 && !isCompressed(response);
    if (range ? range.start === start : partial) {
      const length = plainLength(response);
      // Content-Range may be hidden from other origins; Content-Length never is.
      const end = range?.end ?? (length === undefined ? undefined : start + length);
      const size = range ? range.total : end;
      return { body: response.body, start, end, size, validators };
    }
  }
  giveUp(response);
  return undefined;
}

/** A range that contradicts itself is none: the whole file may still be had. */
function readRange(url: string, response: Response) {
  try {
    return rangeOf(url, response);
  } catch {
    return { start: -1, end: 0, total: undefined };
  }
}

/**
 * The whole file. What is compressed on its way, or comes without a length, tells no size: such a server is asked for
 * the range from byte 0, which browsers ask for uncompressed. Where that does not help either, the size stays unknown.
 */
async function whole(url: string, options: AskOptions): Promise<Answer> {
  const { signal } = options;
  const first = await ask(url, {}, options, signal);
  if (first.status === 416) {
    giveUp(first);
    throw networkError(url, "the server answered 416 to a request for the whole file", {
      details: { status: 416 },
    });
  }
  const answer = wholeAnswer(url, first, options.bytes);
  if (answer.size !== undefined) return answer;
  const ranged = await ask(url, { Range: "bytes=0-" }, options, signal).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    return undefined;
  });
  const better = ranged && sizedAnswer(url, ranged, first, options.bytes);
  if (better) giveUp(first);
  else if (ranged) giveUp(ranged);
  return better ?? answer;
}

function wholeAnswer(url: string, response: Response, bytes: number | undefined): Answer {
  const range = rangeOf(url, response);
  if (range && (range.start !== 0 || range.end !== (range.total ?? range.end))) {
    giveUp(response);
    const header = response.headers.get("content-range");
    throw contradiction(url, `it sent "${header}" where the whole file was asked for`);
  }
  const length = plainLength(response);
  // Another origin may compress and not show that it does.
  const certain = response.type !== "cors" || length === bytes;
  const size = range?.total ?? (certain ? length : undefined);
  return { body: response.body, start: 0, end: size, size, validators: validatorsOf(response) };
}

/** The answer to a range from byte 0, where it tells the size. */
function sizedAnswer(
  url: string,
  response: Response,
  first: Response,
  bytes: number | undefined,
): Answer | undefined {
  if (!response.ok) return undefined;
  const validators = validatorsOf(response);
  const range = readRange(url, response);
  const length = plainLength(response);
  if (range?.start === 0 && range.total !== undefined)
    return { body: response.body, start: 0, end: range.end, size: range.total, validators };
  // A whole file as long as the compressed one before it may be that again, and a range of another length than the file's.
  const plain =
    response.type !== "cors" ||
    length === bytes ||
    (response.status === 206 ? bytes === undefined : length !== plainLength(first));
  if (range !== undefined || length === undefined || !plain) return undefined;
  return { body: response.body, start: 0, end: length, size: length, validators };
}

/** Throws `model_not_found` for a web page. */
async function ask(
  url: string,
  headers: Record<string, string>,
  options: HttpOptions,
  signal?: AbortSignal,
): Promise<Response> {
  const response = await request(url, headers, options, signal);
  if (!isWebPage(response)) return response;
  giveUp(response);
  throw new WinnowError("model_not_found", `${url}: a web page is there, not a model`, {
    hint: "Check the address.",
    details: { url },
  });
}
