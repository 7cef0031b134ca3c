import type { Constraint } from "../../../constraint/constraint.ts";
import { systemTokens } from "../../../engine/chat/system-prompt.ts";
import { loadLater } from "../../../errors.ts";
import type { ChatTemplate, Tokenizer } from "../../../text/types.ts";
import type { CheckedRequest } from "../../checks/validate-request.ts";
import type { ChannelParser } from "./channel-parser.ts";
import { constrained } from "./constrained.ts";

/** How one chat request is answered. */
export interface AnswerPlan {
  readonly prompt: readonly number[];
  /** How many of its first tokens are the system message. */
  readonly system: number;
  /** Texts that end the answer: see `Answer`. */
  readonly ends: readonly string[];
  /** What takes channels out of the answer, in the order in which they look at its text: see `ChannelParser`. */
  readonly parsers: () => readonly ChannelParser[];
  /** What the answer's tokens are held to. */
  readonly constraint: () => Constraint | undefined;
  /** The code of tools, where the request has some or speaks of calls. */
  readonly tools: typeof import("../tools/plan-tools.ts") | undefined;
}

/**
 * Renders the chat, and has ready what the answer needs; what only some requests and models need is loaded here.
 * `parsers` and `constraint` make one anew for each of the answers to a request.
 */
export async function planAnswer(
  model: { readonly template: ChatTemplate; readonly tokenizer: Tokenizer },
  request: CheckedRequest,
): Promise<AnswerPlan> {
  const { tokenizer } = model;
  const { format, prompt: text, lead } = request;
  if (text !== undefined) {
    const held = format && (await constrained(tokenizer, format));
    const prompt =
      typeof text === "string" ? [...tokenizer.prefix, ...tokenizer.encode(text)] : text;
    return {
      prompt,
      system: 0,
      ends: [],
      parsers: () => [],
      constraint: () => held?.(),
      tools: undefined,
    };
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
  const calling = tools?.planTools({ template, tokenizer }, request);
  const { messages } = calling ?? request;
  const variables = { ...thoughts?.variables, ...calling?.variables };
  const asked = template.encode(messages, tokenizer, { addGenerationPrompt: true, variables });
  const system = systemTokens({ template, tokenizer }, messages, asked, variables);
  const formed = calling?.constraint ?? (format && (await constrained(tokenizer, format, lead)));
  const thought = thoughts && thinking?.thoughtsOf(tokenizer, thoughts, asked);
  return {
    prompt: lead ? [...asked, ...tokenizer.encode(lead)] : asked,
    system,
    ends: template.stop,
    parsers: () => [
      ...(thought ? [thought.parser()] : []),
      ...(calling?.parser ? [calling.parser()] : []),
    ],
    tools,
    constraint: () => (thought ? thought.constraint(formed?.()) : formed?.()),
  };
}

/** Whether the request or the model's template speaks of thoughts. */
const mayThink = (
  { source }: ChatTemplate,
  { effort, variables, thoughtBudget }: CheckedRequest,
): boolean => (effort ?? variables ?? thoughtBudget) !== undefined || /think|thought/i.test(source);

const hasTools = ({ tools, messages }: CheckedRequest): boolean =>
  tools !== undefined || messages.some(({ role, tool_calls }) => role === "tool" || tool_calls);
