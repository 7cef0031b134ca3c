import type { ChatMessage, ChatTemplate, RenderOptions, Tokenizer } from "../../text/types.ts";
import { commonPrefix } from "./prefix.ts";

/**
 * How many tokens at the start of a chat's `prompt` are its system message and its tools, with the marks around them; 0 where
 * it has neither. `variables`: with which the prompt was made.
 */
export function systemTokens(
  { template, tokenizer }: { readonly template: ChatTemplate; readonly tokenizer: Tokenizer },
  messages: readonly ChatMessage[],
  prompt: readonly number[],
  variables: RenderOptions["variables"] = {},
): number {
  const system = messages.findIndex(({ role }) => role !== "system");
  if (system < 0 || (system === 0 && !variables.tools)) return 0;
  const { content } = messages[system]!;
  // Templates want a message of the user; another one than the chat's begins where the system message ends.
  const other = content.startsWith("0") ? "1" : "0";
  const begun = [...messages.slice(0, system), { role: "user", content: other } as const];
  return commonPrefix(prompt, template.encode(begun, tokenizer, { variables }));
}
