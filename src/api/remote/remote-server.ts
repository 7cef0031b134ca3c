import { type ErrorCode, messageOf, WinnowError } from "../../errors.ts";
import type { RemoteOptions } from "../remote-types.ts";

/** Statuses that say what the caller, not the server, has to mend; others mean that it cannot answer now: `network`. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  400: "invalid_argument",
  401: "invalid_argument",
  403: "invalid_argument",
  404: "model_not_found",
  413: "invalid_argument",
  415: "invalid_argument",
  422: "invalid_argument",
};

/** What servers say of a chat that is too long for the model: OpenAI and `winnow serve`, llama.cpp, vLLM. */
const TOO_LONG = /context_length_exceeded|exceed_context_size_error|maximum context length/;

const UNREACHABLE =
  "Check the address and that the server runs. It must allow this page's origin by CORS (winnow serve --cors ORIGIN), and a page on https reaches http on this machine alone.";

/** A server that speaks OpenAI's API. */
export class RemoteServer {
  private readonly options: RemoteOptions;

  constructor(options: RemoteOptions) {
    this.options = options;
  }

  get model(): string {
    return this.options.model;
  }

  /** What it answers; a `body` is posted. Throws WinnowError: network where it cannot be reached or cannot answer, aborted. */
  async ask(path: string, signal?: AbortSignal, body?: object): Promise<Response> {
    const { baseURL, apiKey } = this.options;
    let response: Response;
    try {
      response = await fetch(`${baseURL}${path}`, {
        ...(body && { method: "POST", body: JSON.stringify(body) }),
        headers: {
          ...(body && { "content-type": "application/json" }),
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        // Cookies of the server's site say nothing here.
        credentials: "omit",
        ...(signal && { signal }),
      });
    } catch (cause) {
      throw brokenOff(baseURL, cause, signal);
    }
    if (response.ok) return response;
    throw refusal(await response.text().catch(() => ""), response.status);
  }

  /** The JSON that it answers with. Throws the same. */
  async json(path: string, signal?: AbortSignal, body?: object): Promise<unknown> {
    const response = await this.ask(path, signal, body);
    try {
      return await response.json();
    } catch (cause) {
      throw brokenOff(this.options.baseURL, cause, signal);
    }
  }

  /** The error of a connection that failed. */
  broken(cause: unknown, signal?: AbortSignal): WinnowError {
    return brokenOff(this.options.baseURL, cause, signal);
  }
}

function brokenOff(address: string, cause: unknown, signal?: AbortSignal): WinnowError {
  if (cause instanceof WinnowError) return cause;
  if (signal?.aborted) return new WinnowError("aborted", "the request was aborted", { cause });
  const message = `the server at ${address} could not be reached: ${messageOf(cause)}`;
  return new WinnowError("network", message, { hint: UNREACHABLE, cause });
}

/** An error that a server told: with a status, or in the middle of a stream. */
export function refusal(text: string, status?: number): WinnowError {
  const { message, param, code, type } = errorIn(text);
  const known = TOO_LONG.test(`${code} ${type} ${message}`)
    ? "context_overflow"
    : CODES[status ?? 0];
  const told = message ?? (text.trim().slice(0, 200) || "no reason was given");
  const field = status === 401 || status === 403 ? "remote.apiKey" : param;
  return new WinnowError(
    known ?? "network",
    `the server refused the request${status === undefined ? "" : ` (${status})`}: ${told}`,
    {
      hint:
        field === "remote.apiKey" ? "Check the key, and that the server lets this page ask." : "",
      details: { ...(status && { status }), ...(field && { field }) },
    },
  );
}

/** OpenAI's shape of an error, or those of servers that say `message` or `detail`. */
function errorIn(text: string): {
  message?: string;
  param?: string;
  code?: string;
  type?: string;
} {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return {};
  }
  const outer = (value ?? {}) as Record<string, unknown>;
  const inner = (typeof outer.error === "object" && outer.error ? outer.error : outer) as Record<
    string,
    unknown
  >;
  const texts = {
    message: inner.message ?? inner.detail ?? outer.error,
    param: inner.param,
    code: inner.code,
    type: inner.type,
  };
  return Object.fromEntries(Object.entries(texts).filter(([, one]) => typeof one === "string"));
}
