import type { ErrorCode } from "../../errors.ts";
import { asWinnowError, type WinnowError } from "../../errors.ts";

/** How the Prompt API names the engine's errors; what is not here is an OperationError. */
const NAMES: Partial<Record<ErrorCode, string>> = {
  invalid_argument: "NotSupportedError",
  model_not_found: "NotSupportedError",
  unsupported_model: "NotSupportedError",
  no_webgpu: "NotSupportedError",
  no_adapter: "NotSupportedError",
  adapter_too_weak: "NotSupportedError",
  network: "NetworkError",
  closed: "InvalidStateError",
  aborted: "AbortError",
};

export const notSupported = (message: string): DOMException =>
  new DOMException(message, "NotSupportedError");

export const syntaxError = (message: string): DOMException =>
  new DOMException(message, "SyntaxError");

export const destroyedError = (): DOMException =>
  new DOMException("The session has been destroyed.", "InvalidStateError");

/** The error where more is asked than the context window holds, both in tokens. */
export function quotaExceeded(requested: number, quota: number): DOMException {
  const message = `The input has ${requested} tokens, and the context window ${quota}.`;
  const { QuotaExceededError } = globalThis as {
    QuotaExceededError?: new (
      message: string,
      options: { requested: number; quota: number },
    ) => DOMException;
  };
  if (QuotaExceededError) return new QuotaExceededError(message, { requested, quota });
  const error = new DOMException(message, "QuotaExceededError");
  return Object.defineProperties(error, {
    requested: { value: requested, enumerable: true },
    quota: { value: quota, enumerable: true },
  });
}

/** The engine's errors under the names of the Prompt API, with the WinnowError as `cause`; others as they are. */
export function asDomException(thrown: unknown): unknown {
  if ((thrown as Error | undefined)?.name !== "WinnowError") return thrown;
  const error: WinnowError = asWinnowError(thrown);
  const { prompt, contextLength } = error.details as { prompt?: number; contextLength?: number };
  if (error.code === "context_overflow" && prompt !== undefined && contextLength !== undefined)
    return quotaExceeded(prompt, contextLength);
  const message = [error.message, error.hint].filter(Boolean).join(". ");
  const named = new DOMException(message, NAMES[error.code] ?? "OperationError");
  return Object.defineProperty(named, "cause", { value: error });
}
