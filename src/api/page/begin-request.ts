import type { CheckedRequest, CheckedRequestOptions } from "../checks/validate-request.ts";
import type { Completion, OnBatch } from "../protocol.ts";

/** Answers a checked request: text in batches, then how it ended. Rejects with WinnowError. */
export interface CompletionPort {
  readonly modelName: string;
  /** What a request `needs` before it can be sent: what is called meanwhile is sent after it. Throws closed. */
  turn<T>(options: CheckedRequestOptions, needs: T | Promise<T>): Promise<T>;
  complete(
    request: CheckedRequest,
    options: CheckedRequestOptions,
    onBatch: OnBatch,
  ): Promise<Completion>;
}

/** What the parts of one answer have in common. */
export interface Header {
  id: string;
  created: number;
  model: string;
  inferenceSource: "on_device";
}

/** Has the request answered. */
export type Run = (onBatch: OnBatch) => Promise<Completion>;

/** What is the same for all kinds of requests. `kind` begins the answer's id. */
export function beginRequest(
  port: Pick<CompletionPort, "modelName" | "complete">,
  kind: string,
  checked: CheckedRequest,
  options: CheckedRequestOptions,
): { header: Header; run: Run; abort: () => void } {
  const stop = linkedAbort(options.signal);
  return {
    header: {
      id: `${kind}-${Math.random().toString(36).slice(2, 12)}`,
      created: unixTime(),
      model: checked.model ?? port.modelName,
      inferenceSource: "on_device",
    },
    run: (onBatch) =>
      port.complete(checked, { ...options, signal: stop.signal }, onBatch).finally(stop.unlink),
    abort: stop.abort,
  };
}

/** A signal that fires with the caller's, or when the consumer leaves. */
function linkedAbort(outer: AbortSignal | undefined): {
  signal: AbortSignal;
  abort: () => void;
  unlink: () => void;
} {
  const controller = new AbortController();
  const forward = (): void => controller.abort(outer?.reason);
  if (outer?.aborted) forward();
  outer?.addEventListener("abort", forward, { once: true });
  return {
    signal: controller.signal,
    abort: () => controller.abort(),
    unlink: () => outer?.removeEventListener("abort", forward),
  };
}

export const unixTime = (): number => Math.floor(Date.now() / 1000);
