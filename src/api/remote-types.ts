import type { ErrorCode } from "../errors.ts";

/**
 * Where requests are answered. "only-on-device": here. "prefer-on-device": here, and by `remote` while the model is being
 * downloaded, where it cannot be loaded, or can answer no more. "prefer-in-cloud": by `remote`, and here where it cannot be reached; the model is loaded when that
 * first happens. "only-in-cloud": by `remote`; no model is loaded.
 */
export type InferenceMode =
  | "only-on-device"
  | "prefer-on-device"
  | "prefer-in-cloud"
  | "only-in-cloud";

/** Where an answer was made. */
export type InferenceSource = "on_device" | "in_cloud";

/** A server that speaks OpenAI's API: vLLM, SGLang, llama-server, `winnow serve` or a vendor's. */
export interface RemoteOptions {
  /** The address in front of `/chat/completions`, for example "http://127.0.0.1:8080/v1". */
  baseURL: string;
  /** What is sent as `Authorization: Bearer`. Default: nothing. */
  apiKey?: string;
  /** The server's name of the model. */
  model: string;
}

/** Where requests are answered, and why not where they were to be. */
export interface InferenceInfo {
  /** What `createEngine` was asked for. */
  mode: InferenceMode;
  /** Where the next request goes first. */
  source: InferenceSource;
  /** Why the last request, or the engine as a whole, is not where the mode prefers it; absent where it is. */
  fallback?: {
    /**
     * "no_webgpu": there is no WebGPU, or no adapter that will do. "does_not_fit": memory or the model's positions do not
     * suffice. "not_downloaded": the model is being downloaded, or could not be. "unreachable": the server does not answer. "error": anything else.
     */
    reason: "no_webgpu" | "does_not_fit" | "not_downloaded" | "unreachable" | "error";
    /** The code of the error that was met; absent while the model is being downloaded. */
    code?: ErrorCode;
    /** What happened. */
    message: string;
  };
}
