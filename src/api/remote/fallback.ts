import type { ErrorCode, WinnowError } from "../../errors.ts";
import type { InferenceInfo } from "../remote-types.ts";

type Fallback = NonNullable<InferenceInfo["fallback"]>;

/** The caller's to mend, or his own doing: nobody else is asked. */
const NOT_MENDED: readonly ErrorCode[] = ["invalid_argument", "aborted", "closed", "busy"];

const REASONS: Partial<Record<ErrorCode, Fallback["reason"]>> = {
  no_webgpu: "no_webgpu",
  no_adapter: "no_webgpu",
  adapter_too_weak: "no_webgpu",
  out_of_memory: "does_not_fit",
  context_overflow: "does_not_fit",
  network: "not_downloaded",
  model_not_found: "not_downloaded",
};

/** Whether what the device could not do may be asked of a server. */
export const mayAskServer = ({ code }: WinnowError): boolean => !NOT_MENDED.includes(code);

/** Why the device does not answer yet. */
export const DOWNLOADING: Fallback = {
  reason: "not_downloaded",
  message: "the model is being downloaded",
};

/** Why the device does not answer. */
export const deviceFallback = ({ code, message }: WinnowError): Fallback => ({
  reason: REASONS[code] ?? "error",
  code,
  message,
});

/** Why the server does not answer. */
export const serverFallback = ({ code, message }: WinnowError): Fallback => ({
  reason: "unreachable",
  code,
  message,
});
