import { GREEDY } from "../../engine/chat/generate-options.ts";
import type { CheckedRequest } from "../checks/validate-request.ts";
import type { Usage } from "../types.ts";
import type { AnswerPlan } from "./answer/plan-answer.ts";
import type {
  Answered,
  Chat,
  ChatHooks,
  CompletionModel,
  CompletionResult,
  RunPrompt,
} from "./answering.ts";

/** How a prompt is read, and one answer made. */
interface Answering {
  readonly runPrompt: RunPrompt;
  runChoice(
    model: CompletionModel,
    chat: Chat,
    request: CheckedRequest,
    plan: AnswerPlan,
    hooks: ChatHooks,
    index: number,
  ): Promise<CompletionResult>;
}

/** Far apart for seeds that are near each other. */
const SEED_STEP = 0x9e3779b1;

/** The seed of each of the answers to a request; the first one has the request's. */
export const seedOf = (seed: number, index: number): number =>
  (seed + index * SEED_STEP) % (Number.MAX_SAFE_INTEGER + 1);

/**
 * Several answers to one prompt, which is read once: each goes on in a copy of the chat's cache that shares its pages
 * until it writes. The chat goes on with the first answer; the other copies are freed. An error or an abort ends all.
 */
export async function runChoices(
  model: CompletionModel,
  chat: Chat,
  request: CheckedRequest,
  plan: AnswerPlan,
  { onProgress, ...hooks }: ChatHooks,
  { runPrompt, runChoice }: Answering,
): Promise<Answered> {
  const read = await runPrompt(
    model,
    chat,
    plan.prompt,
    { maxTokens: 1, sampling: GREEDY, stop: [], system: plan.system },
    { onDeltas: () => {}, onProgress, signal: hooks.signal },
  );
  const { seed } = request.sampling;
  const stop = new AbortController();
  const abort = (): void => stop.abort(hooks.signal.reason);
  hooks.signal.addEventListener("abort", abort, { once: true });
  const copies: Chat[] = [];
  try {
    for (let i = 1; i < request.n; i += 1) copies.push(chat.fork());
    if (hooks.signal.aborted) abort();
    const begun = performance.now();
    const answers = [chat, ...copies].map((own, index) => {
      const sampling = { ...request.sampling, seed: seedOf(seed, index) };
      const each = { ...hooks, signal: stop.signal };
      const answer = runChoice(model, own, { ...request, sampling }, plan, each, index);
      answer.catch((error: unknown) => stop.abort(error));
      return answer;
    });
    await Promise.allSettled(answers);
    const results = await Promise.all(answers);
    return {
      finishes: results.map(({ finish }) => finish),
      usage: usageOf(read.usage, results, (performance.now() - begun) / 1000),
    };
  } finally {
    hooks.signal.removeEventListener("abort", abort);
    await Promise.all(copies.map((copy) => copy.reset()));
  }
}

/** The prompt once, and the answers together. */
function usageOf(read: Usage, results: readonly CompletionResult[], seconds: number): Usage {
  const sum = (of: (usage: Usage) => number): number =>
    results.reduce((total, { usage }) => total + of(usage), 0);
  const generated = sum((usage) => usage.completion_tokens);
  const thoughts = sum((usage) => usage.completion_tokens_details?.reasoning_tokens ?? 0);
  const thinks = results[0]?.usage.completion_tokens_details !== undefined;
  return {
    ...read,
    completion_tokens: generated,
    total_tokens: read.prompt_tokens + generated,
    ...(thinks ? { completion_tokens_details: { reasoning_tokens: thoughts } } : {}),
    extra: { ...read.extra, decode_tokens_per_s: seconds > 0 ? generated / seconds : 0 },
  };
}
