import { throwIfAborted, WinnowError } from "../errors.ts";
import { checkRange } from "../formats/blob-source.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { joined } from "../formats/joined.ts";
import { fileNameOf } from "./addresses.ts";
import {
  bodyOf,
  giveUp,
  type HttpOptions,
  networkError,
  readBody,
  request,
  withRetries,
} from "./http.ts";
import { ifRangeHeader, rangeOf } from "./validators.ts";

/** No browser buffer is larger; a server without ranges cannot serve more in one response. */
const MAX_WHOLE_BYTES = 2 ** 31;

/**
 * A URL read by byte ranges. A server that ignores Range is noticed on opening, and so is one of another origin that does
 * not let the page read how large the file is: one full answer is kept and serves every read.
 */
export class HttpSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly url: string;
  /** Identifies the version of the file, where the server says so. */
  readonly etag: string | undefined;
  readonly #options: HttpOptions;
  readonly #whole: Uint8Array | undefined;

  private constructor(
    url: string,
    size: number,
    etag: string | undefined,
    options: HttpOptions,
    whole?: Uint8Array,
  ) {
    this.url = url;
    this.name = fileNameOf(url);
    this.size = size;
    this.etag = etag;
    this.#options = options;
    this.#whole = whole;
  }

  /** @throws WinnowError `model_not_found`, `network`, `aborted`. */
  static async open(
    url: string,
    options: HttpOptions = {},
    signal?: AbortSignal,
  ): Promise<HttpSource> {
    return withRetries(options, signal, async () => {
      let response = await request(url, { Range: "bytes=0-0" }, options, signal);
      const etag = response.headers.get("etag") ?? undefined;
      if (response.status === 206) {
        const total = rangeOf(url, response)?.total;
        giveUp(response);
        if (total !== undefined) return new HttpSource(url, total, etag, options);
        response = await request(url, {}, options, signal);
      }
      if (response.status === 416) return new HttpSource(url, 0, etag, options);
      const length = Number(response.headers.get("content-length") ?? 0);
      const noRanges = new WinnowError("network", `${url}: the server does not serve byte ranges`, {
        hint: "Serve the file from a server that supports Range requests.",
        details: { url, final: true },
      });
      if (length > MAX_WHOLE_BYTES) {
        giveUp(response);
        throw noRanges;
      }
      const pieces: Uint8Array[] = [];
      let arrived = 0;
      for await (const piece of bodyOf(url, response.body, options, signal)) {
        pieces.push(piece);
        arrived += piece.length;
        // Not every server tells a length, and not every one keeps to it.
        if (arrived > MAX_WHOLE_BYTES) throw noRanges;
      }
      const whole = joined(pieces);
      return new HttpSource(url, whole.length, etag, options, whole);
    });
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal);
    checkRange(this, offset, length);
    if (length === 0) return new Uint8Array(0);
    if (this.#whole !== undefined) return this.#whole.slice(offset, offset + length);
    return withRetries(this.#options, signal, async () => {
      const headers = {
        Range: `bytes=${offset}-${offset + length - 1}`,
        ...ifRangeHeader(this.url, this.etag === undefined ? {} : { etag: this.etag }),
      };
      const response = await request(this.url, headers, this.#options, signal);
      const range = rangeOf(this.url, response);
      const etag = response.headers.get("etag") ?? undefined;
      const same = etag === this.etag && range?.total === this.size && range.start === offset;
      if (response.status !== 206 || !same) {
        giveUp(response);
        throw new WinnowError("network", `${this.url}: the file changed while it was read`, {
          hint: "Load it again.",
          details: { url: this.url, final: true },
        });
      }
      const bytes = await readBody(this.url, response, this.#options, signal);
      if (bytes.length !== length)
        throw networkError(this.url, `${bytes.length} bytes came where ${length} were asked for`);
      return bytes;
    });
  }
}
