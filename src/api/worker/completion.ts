import type { Format } from "../../constraint/constrain.ts";
import type { Constraint } from "../../constraint/constraint.ts";
import type { Conversation } from "../../engine/chat/conversation.ts";
import { systemTokens } from "../../engine/chat/system-prompt.ts";
import type { InferenceEngine } from "../../engine/engine.ts";
import { loadLater, throwIfAborted, WinnowError } from "../../errors.ts";
import type { Tokenizer } from "../../text/types.ts";
import type { CheckedRequest } from "../checks/validate-request.ts";
import type { AnswerDelta } from "../protocol.ts";
import type { FinishReason, ReadProgress, Usage } from "../types.ts";
import { Answer } from "./answer/answer.ts";
import type { ChannelParser } from "./answer/channel-parser.ts";
import { parsersFor } from "./answer/parsers.ts";
import { Reading } from "./reading.ts";

/** The part of an InferenceEngine that answers a chat request. */
export type CompletionModel = Pick<InferenceEngine, "tokenizer" | "template" | "contextLength"> & {
  conversation(id: string): Pick<Conversation, "endless" | "generate" | "messages">;
};

export interface CompletionResult {
  finish: FinishReason;
  /** Ids of the answer, the end token left out. */
  tokens: number[];
  usage: Usage;
}

interface ChatHooks {
  /** Gets what each token has brought, as soon as it is certain; often nothing. */
  readonly onDeltas: (deltas: readonly AnswerDelta[]) => void;
  /** Is called when some of the prompt has been read: the cache is then of this request. */
  readonly onRead?: () => void;
  /** Gets how far the prompt has been read, some ten times a second, and once it is read. */
  readonly onProgress?: ((progress: ReadProgress) => void) | undefined;
  readonly signal: AbortSignal;
}

/** Answers one chat request. Throws aborted, context_overflow, device_lost. */
export async function runChat(
  model: CompletionModel,
  conversation: string,
  request: CheckedRequest,
  hooks: ChatHooks,
): Promise<CompletionResult> {
  const { messages } = request;
  const prompt = model.template.encode(messages, model.tokenizer, { addGenerationPrompt: true });
  const parsers = await parsersFor(request);
  const chat = model.conversation(conversation);
  let content = "";
  const onDeltas = (deltas: readonly AnswerDelta[]): void => {
    for (const delta of deltas) content += delta.content ?? "";
    // An abort may leave it at this.
    chat.messages = [...messages, { role: "assistant", content }];
    hooks.onDeltas(deltas);
  };
  const onRead = (): void => {
    chat.messages = messages;
  };
  const noted = { ...hooks, onDeltas, onRead };
  const system = systemTokens(model, messages, prompt);
  const asked = { ...request, ends: model.template.stop, parsers, system };
  const result = await runPrompt(model, conversation, prompt, asked, noted);
  if (content === "") chat.messages = messages;
  return result;
}

/** The same for a prompt given as ids. */
export async function runPrompt(
  model: CompletionModel,
  conversation: string,
  prompt: readonly number[],
  request: Pick<CheckedRequest, "maxTokens" | "sampling"> & {
    readonly stop: readonly string[];
    /** See `Answer`. */
    readonly ends?: readonly string[];
    readonly parsers?: readonly ChannelParser[];
    /** How many of the first tokens are the system message. */
    readonly system?: number;
  } & Partial<Pick<CheckedRequest, "speculative" | "format">>,
  { onDeltas, onRead, onProgress, signal }: ChatHooks,
): Promise<CompletionResult> {
  throwIfAborted(signal);
  const constraint = request.format && (await constrained(model.tokenizer, request.format));
  throwIfAborted(signal);
  const { contextLength } = model;
  const chat = model.conversation(conversation);
  // Where a chat has no end, an answer has one all the same.
  const room = chat.endless ? Number.POSITIVE_INFINITY : contextLength - prompt.length;
  if (room < 1) throw overflow(prompt.length, contextLength);
  const answer = new Answer(model.tokenizer, request);
  const tokens: number[] = [];
  const clock = new Clock();
  let cachedTokens = 0;
  const reading = onProgress && new Reading(onProgress);
  let finish: "stop" | "length" = "stop";
  const ids = chat.generate(prompt, {
    sampling: request.sampling,
    maxTokens: Math.min(request.maxTokens ?? contextLength, room),
    signal,
    ahead: request.stop.length === 0 && !request.ends?.length,
    system: request.system ?? 0,
    constraint,
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
      onDeltas(answer.push(step.value));
      if (answer.stopped) break;
      throwIfAborted(signal);
    }
  } finally {
    // Leaving early keeps the conversation usable; after a regular end this does nothing.
    await ids.return({ finish, cachedTokens, promptTokens: prompt.length });
  }
  if (!answer.stopped) onDeltas(answer.end());
  const usage = usageOf(prompt.length, cachedTokens, tokens.length, clock);
  return { finish: answer.finish(finish), tokens, usage };
}

/** What holds an answer to a format. Throws invalid_argument, naming the place, where it cannot be followed. */
async function constrained(tokenizer: Tokenizer, format: Format): Promise<Constraint> {
  const code = () => import("../../constraint/constrain.ts");
  return (await loadLater("constrained output", code)).constrain(tokenizer, format);
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
function usageOf(prompt: number, cached: number, generated: number, clock: Clock): Usage {
  const { prefill, decode } = clock;
  const rate = (tokens: number, seconds: number): number => (seconds > 0 ? tokens / seconds : 0);
  return {
    prompt_tokens: prompt,
    completion_tokens: generated,
    total_tokens: prompt + generated,
    prompt_tokens_details: { cached_tokens: cached },
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
