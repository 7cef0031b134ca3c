import { invalidArgument } from "../../errors.ts";
import { checkNumber, checkOneOf, plainData, splitFields } from "./check.ts";

export const THOUGHT_FIELDS = [
  "reasoning_effort",
  "chat_template_kwargs",
  "thinking_token_budget",
] as const;

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const;
/** Variables of templates that a request says otherwise. */
const TAKEN = ["messages", "tools", "add_generation_prompt"];

/** How a model is to think; undefined is what it does by itself. What it can do is known where its template is. */
export interface ThoughtOptions {
  effort: string | undefined;
  /** Variables for the chat template. */
  variables: Readonly<Record<string, unknown>> | undefined;
  /** Most tokens of a thought. */
  thoughtBudget: number | undefined;
}

/** Throws invalid_argument naming the field. */
export function checkThoughts(given: Readonly<Record<string, unknown>>): ThoughtOptions {
  const [effortField, variablesField, budgetField] = THOUGHT_FIELDS;
  const { [effortField]: effort, [variablesField]: variables, [budgetField]: budget } = given;
  const range = { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true };
  return {
    effort: effort === undefined ? undefined : checkOneOf(effortField, effort, EFFORTS),
    variables: variables === undefined ? undefined : checkVariables(variablesField, variables),
    thoughtBudget: budget === undefined ? undefined : checkNumber(budgetField, budget, range),
  };
}

function checkVariables(field: string, value: unknown): Record<string, unknown> {
  const { others } = splitFields(field, value, []);
  for (const name of Object.keys(others)) {
    if (TAKEN.includes(name))
      throw invalidArgument(`${field}.${name}`, "is what the request itself says");
    if (!/^[A-Za-z_]\w*$/.test(name))
      throw invalidArgument(field, `${JSON.stringify(name)} is no name of a variable`);
  }
  return plainData(field, others) as Record<string, unknown>;
}
