/** Every code that a `WinnowError` may have; the guide's troubleshooting page has an entry for each. */
export const ERROR_CODES = [
  /** An argument or option has the wrong type, range or combination. */
  "invalid_argument",
  /** A model name is not in models.json, or a file, URL or repository does not exist. */
  "model_not_found",
  /** The file is not what it claims to be: wrong magic, truncated, hash mismatch, absurd counts. */
  "bad_model_file",
  /** The file is valid, but an architecture, tensor type or tokenizer in it is not supported. */
  "unsupported_model",
  /** Calibrated filters are damaged or belong to another model. */
  "bad_filters",
  /** A saved chat is damaged, or was made by another model, calibration, kind of cache or version. */
  "bad_cache_file",
  /** A download failed; what arrived is kept and resumes. */
  "network",
  /** The browser or Node has no WebGPU. */
  "no_webgpu",
  /** The engine's worker could not be started, or its script did not load; the hint says what to set. */
  "no_worker",
  /** WebGPU is there, but no adapter was offered. */
  "no_adapter",
  /** The adapter's limits are below what the model needs. */
  "adapter_too_weak",
  /** Weights plus cache budget do not fit in the memory that may be used. */
  "out_of_memory",
  /** The GPU device was lost and could not be rebuilt. */
  "device_lost",
  /** Prompt plus answer exceed the model's positions. */
  "context_overflow",
  /** The caller aborted; the conversation stays usable. */
  "aborted",
  /** The engine is closed. */
  "closed",
  /** Only an engine on this device has it, and requests are answered by a server. */
  "not_on_device",
  /** The engine is answering another request that may not run beside this one. */
  "busy",
  /** A defect in Winnow: an invariant does not hold. */
  "internal",
] as const;

/** One of `ERROR_CODES`. Codes are stable: programs may rely on them. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** A WinnowError as plain data, as it crosses from the worker to the page. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * Every error that Winnow throws on purpose. `message` says what was wrong and where. Errors cross from the worker to the
 * page as plain data, so `instanceof` and `code` hold there too.
 */
export class WinnowError extends Error {
  /** Always "WinnowError". */
  override readonly name = "WinnowError";
  /** What kind of error it is: stable, meant for programs. */
  readonly code: ErrorCode;
  /** What to do about it, in one sentence; may be empty. */
  readonly hint: string;
  /** Particulars for programs: field, offset, limit, needed and the like. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? "";
    this.details = options.details ?? {};
  }

  /** Plain data for postMessage; the inverse of `fromWire`. @internal */
  toWire(): WireError {
    return { code: this.code, message: this.message, hint: this.hint, details: this.details };
  }

  /** Also of another copy of the package, as a service worker's. */
  static override [Symbol.hasInstance](thrown: unknown): boolean {
    return (thrown as Error | undefined)?.name === "WinnowError";
  }

  /** The error that `toWire` made plain data of. @internal */
  static fromWire(wire: WireError): WinnowError {
    return new WinnowError(wire.code, wire.message, {
      hint: wire.hint,
      details: { ...wire.details },
    });
  }
}

export const invalidArgument = (field: string, problem: string, hint = ""): WinnowError =>
  new WinnowError("invalid_argument", `${field}: ${problem}`, { hint, details: { field } });

/** Throws internal unless `holds`: an invariant that callers see to. What users may get wrong is explained where it enters. */
export function assume(holds: boolean, broken: () => string): asserts holds {
  if (!holds) throw new WinnowError("internal", broken());
}

/** The error of a call on an engine that is closed, or is closed meanwhile. */
export const closedError = (): WinnowError =>
  new WinnowError("closed", "the engine is closed", { hint: "Make a new one with createEngine." });

/** The message of anything thrown, errors of other realms included. */
export function messageOf(thrown: unknown): string {
  try {
    return String((thrown as Error | undefined)?.message ?? thrown);
  } catch {
    return "something without a text";
  }
}

/** Turns anything thrown into a WinnowError; AbortError becomes `aborted`, the rest `internal`. */
export function asWinnowError(thrown: unknown): WinnowError {
  if (thrown instanceof WinnowError) return thrown;
  const name = (thrown as Error | undefined)?.name;
  if (name === "AbortError")
    return new WinnowError("aborted", "the operation was aborted", { cause: thrown });
  return new WinnowError("internal", messageOf(thrown), { cause: thrown });
}

/** Throws if the signal has fired: its reason where that is a WinnowError, else `aborted`. */
export function throwIfAborted(signal: AbortSignal | null | undefined): void {
  if (!signal?.aborted) return;
  if (signal.reason instanceof WinnowError) throw signal.reason;
  throw new WinnowError("aborted", "the operation was aborted", { cause: signal.reason });
}

/**
 * Code that most sessions never need, by a function that imports it. Throws `network` naming `what` it is for: the
 * connection is gone, or the site has other files by now.
 */
export async function loadLater<T>(what: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new WinnowError("network", `the code for ${what} could not be loaded`, {
      hint: "Check the connection and try again; reload the page where the site has changed.",
      cause,
    });
  }
}
