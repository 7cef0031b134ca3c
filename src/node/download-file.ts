import { open, rename, stat } from "node:fs/promises";
import { fileNameOf, networkError, parseContentRange, request } from "../fetch/http.ts";

const CONNECT_TIMEOUT_MS = 30_000;

/**
 * Downloads `url` to `target` by way of `target.part`, which stays when the connection breaks and
 * is gone on with next time. Throws network, model_not_found, aborted.
 */
export async function downloadFile(
  url: string,
  target: string,
  onProgress: (loaded: number, total: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const part = `${target}.part`;
  const have = (await stat(part).catch(() => undefined))?.size ?? 0;
  const response = await connect(url, have, signal);
  const range =
    response.status === 206 ? parseContentRange(response.headers.get("content-range")) : undefined;
  const resumes = range !== undefined && range.start === have;
  const start = resumes ? have : 0;
  const total = range?.total ?? Number(response.headers.get("content-length") ?? 0);
  if (response.status !== 416) {
    const file = await open(part, resumes ? "a" : "w");
    let loaded = start;
    onProgress(loaded, total);
    try {
      for await (const bytes of response.body ?? []) {
        await file.write(bytes);
        loaded += bytes.length;
        onProgress(loaded, total);
      }
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw networkError(url, `the connection broke after ${loaded} bytes`, cause);
    } finally {
      await file.close();
    }
    if (total > 0 && loaded !== total) {
      throw networkError(url, `${fileNameOf(url)} ended after ${loaded} of ${total} bytes`);
    }
  }
  await rename(part, target);
}

/** The answer's headers must come soon; its body may take as long as it needs. */
async function connect(url: string, have: number, signal?: AbortSignal): Promise<Response> {
  const controller = new AbortController();
  const forward = (): void => controller.abort(signal?.reason);
  signal?.addEventListener("abort", forward, { once: true });
  const timer = setTimeout(() => controller.abort(), CONNECT_TIMEOUT_MS);
  try {
    const headers: Record<string, string> = have > 0 ? { Range: `bytes=${have}-` } : {};
    return await request(url, headers, {}, controller.signal);
  } catch (error) {
    if (controller.signal.aborted && !signal?.aborted) {
      throw networkError(url, `no answer within ${CONNECT_TIMEOUT_MS / 1000} s`, error);
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
