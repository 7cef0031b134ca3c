/**
 * The `LanguageModel` of the Prompt API over an engine in this browser: in pages, workers and every browser with WebGPU.
 *
 * @module winnow-llm/prompt-api
 */
import { defineLanguageModel } from "./clients/prompt-api/language-model.ts";

export type { Availability } from "./clients/availability.ts";
export {
  defineLanguageModel,
  type LanguageModelClass,
  type PromptApiOptions,
} from "./clients/prompt-api/language-model.ts";
export { polyfill } from "./clients/prompt-api/polyfill.ts";
export type { PromptSession } from "./clients/prompt-api/session.ts";
export type * from "./clients/prompt-api/types.ts";
export type { EngineMaker } from "./clients/shared-engine.ts";

/** A `LanguageModel` over the default model; `defineLanguageModel` makes one over another. */
export const LanguageModel = defineLanguageModel();
