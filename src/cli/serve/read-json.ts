import type { IncomingMessage } from "node:http";
import { HttpError } from "./http-error.ts";

/** How many times the limit is taken and thrown away, so that who sends too much still hears of it. */
const THROWN_AWAY = 16;

/** The JSON object that a request carries, of at most `limit` bytes. Throws HttpError 400, 413 and 415. */
export async function readJson(
  request: IncomingMessage,
  limit: number,
): Promise<Record<string, unknown>> {
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity")
    throw new HttpError(415, `a body in the encoding "${encoding}" is not read: send it as it is`);
  const bytes = await readBytes(request, limit);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw noJson(bytes.length === 0 ? "it is empty" : (cause as Error).message);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw noJson("it is no object");
  return value as Record<string, unknown>;
}

const noJson = (problem: string): HttpError =>
  new HttpError(400, `the request's body must be a JSON object: ${problem}`, {
    code: "invalid_json",
  });

function readBytes(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  return new Promise((resolve, reject) => {
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= limit) return void chunks.push(chunk);
      chunks.length = 0;
      reject(
        new HttpError(413, `the request's body is longer than ${limit} bytes`, {
          code: "request_too_large",
        }),
      );
      if (length > limit * THROWN_AWAY) request.destroy();
    });
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("close", () => reject(new HttpError(400, "the request's body broke off")));
    request.on("error", reject);
  });
}
