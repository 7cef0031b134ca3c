import { WinnowError } from "../../errors.ts";
import { isWebPage, readBody, request } from "../../fetch/http.ts";

/** The caller's filters by address, relative to `baseUrl`. @throws WinnowError `bad_filters`, `aborted`. */
export async function fetchFilters(
  address: string,
  baseUrl: string | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    const url = new URL(address, baseUrl).href;
    const response = await request(url, {}, {}, signal);
    if (isWebPage(response)) throw new Error("a web page is there");
    return await readBody(url, response, {}, signal);
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new WinnowError(
      "bad_filters",
      `filters: ${address} could not be read: ${(cause as Error).message}`,
      {
        hint: "Check the address, or leave filters out.",
        cause,
      },
    );
  }
}
