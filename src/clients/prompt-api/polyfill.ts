import {
  defineLanguageModel,
  type LanguageModelClass,
  type PromptApiOptions,
} from "./language-model.ts";

/**
 * Makes `globalThis.LanguageModel` where the browser has none, and returns the one in force. `replace`: also where it
 * has one.
 */
export function polyfill({
  replace = false,
  ...options
}: PromptApiOptions & { replace?: boolean } = {}): LanguageModelClass {
  const scope = globalThis as { LanguageModel?: LanguageModelClass };
  if (scope.LanguageModel && !replace) return scope.LanguageModel;
  const value = defineLanguageModel(options);
  Object.defineProperty(scope, "LanguageModel", { value, writable: true, configurable: true });
  return value;
}
