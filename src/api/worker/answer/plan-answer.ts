import type { Constraint } from "../../../constraint/constraint.ts";
import type { CheckedRequest } from "../../checks/validate-request.ts";
import type { PromptModel } from "../answering.ts";
import type { ChannelParser } from "./channel-parser.ts";
import { constrained } from "./constrained.ts";
import { type PromptPlan, planPrompt } from "./plan-prompt.ts";

/** How one request is answered. */
export interface AnswerPlan extends Pick<PromptPlan, "prompt" | "ends" | "tools"> {
  /** How many of the prompt's first tokens are the system message. */
  readonly system: number;
  /** What takes channels out of the answer, in the order in which they look at its text: see `ChannelParser`. */
  readonly parsers: () => readonly ChannelParser[];
  /** What the answer's tokens are held to. */
  readonly constraint: () => Constraint | undefined;
}

/**
 * Makes the prompt, and has ready what the answer needs; what only some requests and models need is loaded here.
 * `parsers` and `constraint` make one anew for each of the answers to a request.
 */
export async function planAnswer(model: PromptModel, request: CheckedRequest): Promise<AnswerPlan> {
  const { prompt, system, ends, thought, tools } = await planPrompt(model, request);
  const calling = tools?.planCalls(model, request);
  const { format, lead } = request;
  const formed =
    calling?.constraint ?? (format && (await constrained(model.tokenizer, format, lead)));
  return {
    prompt,
    system: system(),
    ends,
    tools,
    parsers: () => [
      ...(thought ? [thought.parser()] : []),
      ...(calling?.parser ? [calling.parser()] : []),
    ],
    constraint: () => (thought ? thought.constraint(formed?.()) : formed?.()),
  };
}
