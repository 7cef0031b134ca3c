import { asWinnowError, type ErrorCode, type WinnowError } from "../../errors.ts";

/** What clients of OpenAI's API read of an error. */
export interface ErrorBody {
  message: string;
  type: string;
  /** The field of the request that is wrong. */
  param: string | null;
  code: string | null;
}

/** An error with the HTTP status that it is answered with. */
export class HttpError extends Error {
  readonly status: number;
  readonly body: ErrorBody;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    message: string,
    {
      code = null,
      param = null,
      headers = {},
    }: { code?: string | null; param?: string | null; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.status = status;
    this.body = { message, type: typeOf(status), param, code };
    this.headers = headers;
  }
}

/** OpenAI's kinds of errors. */
function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** Codes that are the client's to mend, or that pass; every other one is a fault of the server: 500. */
const STATUSES: Partial<Record<ErrorCode, number>> = {
  invalid_argument: 400,
  context_overflow: 400,
  model_not_found: 404,
  busy: 503,
  out_of_memory: 503,
  device_lost: 503,
  closed: 503,
};

/** Where OpenAI has a name of its own. */
const CODES: Partial<Record<ErrorCode, string>> = { context_overflow: "context_length_exceeded" };

/** Anything thrown, as it is answered. */
export function httpErrorOf(thrown: unknown): HttpError {
  if (thrown instanceof HttpError) return thrown;
  const { code, message, hint, details } = asWinnowError(thrown);
  const status = STATUSES[code] ?? 500;
  return new HttpError(status, hint ? `${message} (${hint})` : message, {
    code: CODES[code] ?? code,
    param: typeof details.field === "string" ? details.field : null,
    headers: status === 503 ? SOON : {},
  });
}

/** Whether the server itself is at fault: such an error is worth a line on its terminal. */
export const isFault = (thrown: unknown): thrown is WinnowError | Error =>
  httpErrorOf(thrown).status === 500;

/** A client may ask again in a second. */
export const SOON = { "retry-after": "1" };
