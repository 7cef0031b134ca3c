export { createEngine } from "./api/create-engine.ts";
export type {
  CacheOptions,
  CacheUsage,
  CalibrateOptions,
  CalibrateProgress,
  CalibrationResult,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ConversationOptions,
  Engine,
  EngineInfo,
  EngineOptions,
  ExternalTokenizer,
  FinishReason,
  LoadProgress,
  MemoryReport,
  ModelSource,
  PolicyName,
  RequestOptions,
  Retention,
  SelfCalibration,
  Usage,
} from "./api/types.ts";
export { type ErrorCode, WinnowError } from "./errors.ts";
export type { ChatMessage } from "./text/types.ts";
