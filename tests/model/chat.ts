import type { Constraint } from "../../src/constraint/constraint.ts";
import type { Conversation } from "../../src/engine/chat/conversation.ts";
import {
  type GenerateResult,
  GREEDY,
  type SamplingOptions,
  type Speculative,
} from "../../src/engine/chat/generate-options.ts";

export { GREEDY };

export interface AskOptions {
  maxTokens?: number;
  ahead?: boolean;
  system?: number;
  sampling?: Partial<SamplingOptions>;
  signal?: AbortSignal;
  constraint?: Constraint;
  speculative?: Speculative;
  onPrefill?: (done: number, total: number) => void;
  /** Called with each token and how many there are; `true` breaks out of the loop. */
  onToken?: (token: number, count: number) => boolean | undefined | Promise<boolean | undefined>;
}

/** An answer by `generate`, and what it returned (nothing after a break). */
export async function ask(
  conversation: Conversation,
  prompt: readonly number[],
  { maxTokens = 24, ahead, system, sampling, signal, onPrefill, onToken, ...more }: AskOptions = {},
): Promise<{ answer: number[]; result: GenerateResult | undefined }> {
  const steps = conversation.generate(prompt, {
    sampling: { ...GREEDY, ...sampling },
    maxTokens,
    ...more,
    ...(ahead === undefined ? {} : { ahead }),
    ...(system === undefined ? {} : { system }),
    ...(signal ? { signal } : {}),
    ...(onPrefill ? { onPrefill } : {}),
  });
  const answer: number[] = [];
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return { answer, result: value };
    answer.push(value);
    if (await onToken?.(value, answer.length)) {
      await steps.return(undefined as never);
      return { answer, result: undefined };
    }
  }
}

/** `count` token ids below `vocabulary`, none of them a control token of the tiny models. */
export function someTokens(count: number, seed = 1, vocabulary = 271): number[] {
  let state = seed * 2654435761;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 3 + ((state >>> 8) % (vocabulary - 3));
  });
}
