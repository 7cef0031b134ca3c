/**
 * The same engine in Node, over Dawn (the optional package `webgpu`) and without a worker.
 *
 * @module winnow-llm/node
 */
import { EngineClient } from "./api/client.ts";
import { connectLocal } from "./api/connect-local.ts";
import { EngineService } from "./api/service.ts";
import type { Engine, EngineOptions } from "./api/types.ts";
import { checkEngineOptions } from "./api/validate-engine.ts";
import { openInNode } from "./node/open-in-node.ts";

/**
 * The same engine in Node, over Dawn (the `webgpu` package) and without a worker. A model name is
 * looked up in WINNOW_CACHE (default: ./.cache/models, else ~/.cache/winnow) and fetched if need be;
 * a path to a .gguf works too.
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const checked = checkEngineOptions(options);
  return EngineClient.open(
    connectLocal(new EngineService(openInNode(checked.tokenizer))),
    checked,
    {
      calibrate: "off",
    },
  );
}

export type {
  CacheOptions,
  CacheUsage,
  CalibrateOptions,
  CalibrateProgress,
  CalibrationResult,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  ContentPart,
  ConversationOptions,
  Engine,
  EngineInfo,
  EngineOptions,
  ExternalTokenizer,
  FinishReason,
  KvStorage,
  LoadProgress,
  MemoryReport,
  ModelSource,
  PolicyName,
  RequestOptions,
  Retention,
  SelfCalibration,
  Usage,
} from "./api/types.ts";
export { ERROR_CODES, type ErrorCode, WinnowError } from "./errors.ts";
