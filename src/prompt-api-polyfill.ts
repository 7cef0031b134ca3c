/**
 * Makes `globalThis.LanguageModel` over the default model where the browser has none, by its import alone.
 *
 * @module winnow-llm/prompt-api/polyfill
 */
import { polyfill } from "./prompt-api.ts";

polyfill();
