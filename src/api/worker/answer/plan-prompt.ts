import { systemTokens } from "../../../engine/chat/system-prompt.ts";
import { loadLater } from "../../../errors.ts";
import type { ChatTemplate } from "../../../text/types.ts";
import type { CheckedRequest } from "../../checks/validate-request.ts";
import type { PromptModel } from "../answering.ts";

/** The prompt of a request, and what was loaded to make it. */
export interface PromptPlan {
  readonly prompt: readonly number[];
  /** How many of its first tokens are the system message. */
  system(): number;
  /** Texts that end the answer: see `Answer`. */
  readonly ends: readonly string[];
  /** What splits and holds answers of a model that thinks. */
  readonly thought?: ReturnType<typeof import("../thoughts/thinking.ts").thoughtsOf>;
  /** The code of tools, where the request has some or speaks of calls. */
  readonly tools?: typeof import("../tools/plan-tools.ts") | undefined;
}

/** Renders what is asked. Schemas are not looked at: `planAnswer` compiles those. */
export async function planPrompt(model: PromptModel, request: CheckedRequest): Promise<PromptPlan> {
  const { tokenizer } = model;
  const { prompt: text, lead } = request;
  if (text !== undefined) {
    const prompt =
      typeof text === "string" ? [...tokenizer.prefix, ...tokenizer.encode(text)] : text;
    return { prompt, system: () => 0, ends: [] };
  }
  // Models without one continue texts.
  const { template } = model;
  const thinking = mayThink(template, request)
    ? await loadLater("thoughts", () => import("../thoughts/thinking.ts"))
    : undefined;
  const thoughts = thinking?.planThoughts(
    template,
    // What is said begins, so nothing is thought before it.
    lead === undefined ? request : { ...request, effort: "none" },
  );
  const tools = hasTools(request)
    ? await loadLater("tools", () => import("../tools/plan-tools.ts"))
    : undefined;
  const shown = tools?.showCalls(model, request);
  const { messages } = shown ?? request;
  const variables = { ...thoughts?.variables, ...shown?.variables };
  const asked = template.encode(messages, tokenizer, { addGenerationPrompt: true, variables });
  return {
    prompt: lead ? [...asked, ...tokenizer.encode(lead)] : asked,
    system: () => systemTokens(model, messages, asked, variables),
    ends: template.stop,
    thought: thoughts && thinking?.thoughtsOf(tokenizer, thoughts, asked),
    tools,
  };
}

/** Whether the request or the model's template speaks of thoughts. */
const mayThink = (
  { source }: ChatTemplate,
  { effort, variables, thoughtBudget }: CheckedRequest,
): boolean => (effort ?? variables ?? thoughtBudget) !== undefined || /think|thought/i.test(source);

const hasTools = ({ tools, messages }: CheckedRequest): boolean =>
  tools !== undefined || messages.some(({ role, tool_calls }) => role === "tool" || tool_calls);
