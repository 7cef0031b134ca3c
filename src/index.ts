/**
 * The engine in a page: it runs in a worker of its own.
 *
 * @module winnow-llm
 */
export { createEngine } from "./api/page/create-engine.ts";
export { listModels, removeModel } from "./api/stored-models.ts";
export type * from "./api/types.ts";
export { ERROR_CODES, type ErrorCode, WinnowError } from "./errors.ts";
