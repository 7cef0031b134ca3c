/**
 * A provider of the Vercel AI SDK: its functions and hooks over an engine in this browser.
 *
 * @module winnow-llm/ai-sdk
 */
import { createWinnow } from "./clients/ai-sdk/provider.ts";

export { WinnowLanguageModel } from "./clients/ai-sdk/language-model.ts";
export {
  createWinnow,
  type WinnowProvider,
  type WinnowProviderSettings,
  type WinnowSettings,
} from "./clients/ai-sdk/provider.ts";
export type { LanguageModelV4 } from "./clients/ai-sdk/spec.ts";
export {
  type Availability,
  hasWebGpu as doesBrowserSupportWinnow,
} from "./clients/availability.ts";
export type { EngineMaker } from "./clients/shared-engine.ts";

/** A provider with the defaults of `createWinnow()`. */
export const winnow = createWinnow();
