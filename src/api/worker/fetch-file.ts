import { invalidArgument } from "../../errors.ts";
import type { HttpOptions } from "../../fetch/http.ts";
import { HttpSource } from "../../fetch/http-source.ts";
import type { OpenedFile } from "./opened-engine.ts";

/** A file by its address, relative to `baseUrl`, read by ranges. Throws invalid_argument, model_not_found, network. */
export function fetchFile(
  address: string,
  baseUrl: string | undefined,
  options: HttpOptions,
  signal: AbortSignal,
): Promise<OpenedFile> {
  let url: URL;
  try {
    url = new URL(address, baseUrl);
  } catch {
    throw invalidArgument("source", `"${address}" is no address`);
  }
  return HttpSource.open(url.href, options, signal);
}
