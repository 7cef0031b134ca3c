import type { Constraint } from "../../constraint/constraint.ts";
import { loadLater, throwIfAborted, WinnowError } from "../../errors.ts";
import type { TokenScores } from "../../kernels/sampling/token-scores.ts";
import type { ChatMessage } from "../../text/types.ts";
import type { CheckedRequest } from "../checks/validate-request.ts";
import type { AnswerDelta } from "../protocol.ts";
import type { ToolCallDelta, Usage } from "../types.ts";
import { Answer } from "./answer/answer.ts";
import type { ChannelParser } from "./answer/channel-parser.ts";
import { type AnswerPlan, planAnswer } from "./answer/plan-answer.ts";
import type { Answered, Chat, ChatHooks, CompletionModel, CompletionResult } from "./answering.ts";
import { Reading } from "./reading.ts";

/** Answers one request. Throws aborted, context_overflow, device_lost. */
export async function runRequest(
  model: CompletionModel,
  conversation: string,
  request: CheckedRequest,
  hooks: ChatHooks,
): Promise<Answered> {
  throwIfAborted(hooks.signal);
  const chat = model.conversation(conversation);
  if (request.ahead) {
    const code = await loadLater("reading ahead", () => import("./read-ahead.ts"));
    return code.readAhead(model, chat, request, hooks, runPrompt);
  }
  const plan = await planAnswer(model, request);
  if (request.n > 1) {
    const code = await loadLater("several answers", () => import("./choices.ts"));
    return code.runChoices(model, chat, request, plan, hooks, { runPrompt, runChoice });
  }
  const { finish, usage } = await runChoice(model, chat, request, plan, hooks);
  return { finishes: [finish], usage };
}

/** One answer to a request. */
export async function runChoice(
  model: CompletionModel,
  chat: Chat,
  request: CheckedRequest,
  plan: AnswerPlan,
  hooks: ChatHooks,
  index = 0,
): Promise<CompletionResult> {
  // A text is no chat.
  const messages = request.prompt === undefined ? request.messages : undefined;
  const { lead = "" } = request;
  const said: ChatMessage = { role: "assistant", content: lead };
  const called: ToolCallDelta[] = [];
  const onDeltas = (deltas: readonly AnswerDelta[]): void => {
    for (const { content = "", reasoning_content: thought, tool_calls = [] } of deltas) {
      said.content += content;
      called.push(...tool_calls);
      if (thought) said.reasoning_content = (said.reasoning_content ?? "") + thought;
    }
    // An abort may leave it at this.
    chat.messages = messages && [...messages, { ...said }];
    hooks.onDeltas(deltas);
  };
  const onRead = (): void => {
    chat.messages = messages;
  };
  const noted = { ...hooks, onDeltas, onRead };
  const { prompt, system, ends, parsers, constraint, tools } = plan;
  const own = { index, ends, parsers: parsers(), constraint: constraint(), system };
  const answering = runPrompt(model, chat, prompt, { ...request, ...own }, noted);
  const result = await answering.catch((error) => {
    throw tools?.blameResult(error, messages ?? [], model) ?? error;
  });
  const whole = called.length > 0 ? tools?.wholeCalls(called) : undefined;
  if (messages && whole?.length) chat.messages = [...messages, { ...said, tool_calls: whole }];
  else if (said.content === lead && !said.reasoning_content) chat.messages = messages;
  return result;
}

/** An answer to a prompt given as ids. */
export async function runPrompt(
  model: Pick<CompletionModel, "tokenizer" | "contextLength">,
  chat: Pick<Chat, "endless" | "generate">,
  prompt: readonly number[],
  request: Pick<CheckedRequest, "maxTokens" | "sampling"> & {
    readonly stop: readonly string[];
    /** See `Answer`. */
    readonly index?: number;
    readonly ends?: readonly string[];
    readonly parsers?: readonly ChannelParser[];
    readonly constraint?: Constraint | undefined;
    /** How many of the first tokens are the system message. */
    readonly system?: number;
  } & Partial<Pick<CheckedRequest, "speculative" | "topLogprobs" | "logitBias">>,
  { onDeltas, onRead, onProgress, signal }: ChatHooks,
): Promise<CompletionResult> {
  const logits =
    request.topLogprobs !== undefined || request.logitBias
      ? await loadLater("log probabilities and biases", () => import("./answer/logits.ts"))
      : undefined;
  throwIfAborted(signal);
  const { contextLength, tokenizer } = model;
  // Where a chat has no end, an answer has one all the same.
  const room = chat.endless ? Number.POSITIVE_INFINITY : contextLength - prompt.length;
  if (room < 1) throw overflow(prompt.length, contextLength);
  const answer = new Answer(tokenizer, request);
  const tokens: number[] = [];
  const clock = new Clock();
  let cachedTokens = 0;
  const reading = onProgress && new Reading(onProgress);
  let finish: "stop" | "length" = "stop";
  let scores: TokenScores | undefined;
  const ids = chat.generate(prompt, {
    ...logits?.drawWishes(tokenizer, request),
    onScores: (told) => {
      scores = told;
    },
    sampling: request.sampling,
    maxTokens: Math.min(request.maxTokens ?? contextLength, room),
    signal,
    ahead: request.stop.length === 0 && !request.ends?.length,
    system: request.system ?? 0,
    constraint: request.constraint,
    ...(request.speculative && { speculative: request.speculative }),
    // Known early, for an answer that a stop string ends before the generator does.
    onPrefill: (done, total) => {
      cachedTokens = prompt.length - total;
      onRead?.();
      reading?.update(done, total);
    },
  });
  try {
    for (;;) {
      const step = await ids.next();
      if (tokens.length === 0) reading?.end();
      if (step.done) {
        ({ finish, cachedTokens } = step.value);
        break;
      }
      clock.token();
      tokens.push(step.value);
      const told = scores && logits?.tokenLogprob(tokenizer, step.value, scores);
      onDeltas(answer.push(step.value, told));
      if (answer.stopped) break;
      throwIfAborted(signal);
    }
  } finally {
    // Leaving early keeps the conversation usable; after a regular end this does nothing.
    await ids.return({ finish, cachedTokens, promptTokens: prompt.length });
  }
  if (!answer.stopped) onDeltas(answer.end());
  const usage = usageOf(prompt.length, cachedTokens, tokens.length, answer.thoughtTokens, clock);
  return { finish: answer.finish(finish), tokens, usage };
}

/** Seconds to the first token, and from it to the last. */
class Clock {
  private readonly start = performance.now();
  private first: number | undefined;
  private last = this.start;

  token(): void {
    this.last = performance.now();
    this.first ??= this.last;
  }

  get prefill(): number {
    return ((this.first ?? performance.now()) - this.start) / 1000;
  }

  get decode(): number {
    return this.first === undefined ? 0 : (this.last - this.first) / 1000;
  }
}

/** Prefill speed counts only what was not in the cache; decode speed the tokens after the first. */
function usageOf(
  prompt: number,
  cached: number,
  generated: number,
  thoughts: number | undefined,
  clock: Clock,
): Usage {
  const { prefill, decode } = clock;
  const rate = (tokens: number, seconds: number): number => (seconds > 0 ? tokens / seconds : 0);
  return {
    prompt_tokens: prompt,
    completion_tokens: generated,
    total_tokens: prompt + generated,
    prompt_tokens_details: { cached_tokens: cached },
    ...(thoughts === undefined
      ? {}
      : { completion_tokens_details: { reasoning_tokens: thoughts } }),
    extra: {
      prefill_tokens_per_s: rate(prompt - cached, prefill),
      decode_tokens_per_s: rate(generated - 1, decode),
      time_to_first_token_s: prefill,
    },
  };
}

const overflow = (prompt: number, contextLength: number): WinnowError =>
  new WinnowError(
    "context_overflow",
    `the prompt's ${prompt} tokens leave no room for an answer in the model's ${contextLength} positions`,
    {
      hint: "Give the cache a budget, under which a chat has no end, or drop old messages.",
      details: { prompt, contextLength },
    },
  );
