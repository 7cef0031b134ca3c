import { GREEDY } from "../../engine/chat/generate-options.ts";
import { commonPrefix } from "../../engine/chat/prefix.ts";
import type { CheckedRequest } from "../checks/validate-request.ts";
import { type PromptPlan, planPrompt } from "./answer/plan-prompt.ts";
import type {
  Answered,
  Chat,
  ChatHooks,
  CompletionModel,
  PromptModel,
  RunPrompt,
} from "./answering.ts";

/** Beginnings of messages: letters, digits, spaces and signs, which tokenizers join to what comes before them in many ways. */
const BEGINNINGS = ["A", "what", "1", " a", "\n", "(", "é", "問", "🙂"];

/** The tokens with which every chat begins that has these messages first, whatever comes next. */
async function beginningOf(
  model: PromptModel,
  request: CheckedRequest,
): Promise<{ prompt: readonly number[]; system: number }> {
  const { messages } = request;
  const role = messages.at(-1)!.role === "user" ? "assistant" : "user";
  const plans: PromptPlan[] = [];
  for (const content of BEGINNINGS)
    plans.push(await planPrompt(model, { ...request, messages: [...messages, { role, content }] }));
  const [{ prompt, system }, ...others] = plans as [PromptPlan, ...PromptPlan[]];
  const length = Math.min(...others.map((other) => commonPrefix(prompt, other.prompt)));
  // A system message alone is a document, and no instruction.
  return { prompt: prompt.slice(0, length), system: messages.length > 1 ? system() : 0 };
}

/** Reads the messages of a request, so that the next one that begins with them reads only what follows. */
export async function readAhead(
  model: CompletionModel,
  chat: Chat,
  request: CheckedRequest,
  hooks: ChatHooks,
  runPrompt: RunPrompt,
): Promise<Answered> {
  const { prompt, system } = await beginningOf(model, request);
  const reading = { maxTokens: 0, sampling: GREEDY, stop: [], system };
  const onRead = (): void => {
    chat.messages = request.messages;
  };
  const { usage } = await runPrompt(model, chat, prompt, reading, { ...hooks, onRead });
  return { finishes: [], usage };
}
