/** What those who answer requests say to each other. */
import type { Conversation } from "../../engine/chat/conversation.ts";
import type { InferenceEngine } from "../../engine/engine.ts";
import type { CheckedRequest } from "../checks/validate-request.ts";
import type { AnswerDelta } from "../protocol.ts";
import type { FinishReason, ReadProgress, Usage } from "../types.ts";

/** The part of an InferenceEngine that answers a chat request. */
export type CompletionModel = Pick<InferenceEngine, "tokenizer" | "template" | "contextLength"> & {
  conversation(id: string): Chat;
};

/** What prompts are made with. */
export type PromptModel = Pick<CompletionModel, "tokenizer" | "template">;

export type Chat = Pick<Conversation, "endless" | "generate" | "messages" | "reset"> & {
  fork(): Chat;
};

export interface CompletionResult {
  finish: FinishReason;
  /** Ids of the answer, the end token left out. */
  tokens: number[];
  usage: Usage;
}

/** Reads a prompt and answers it. */
export type RunPrompt = (
  model: CompletionModel,
  chat: Chat,
  prompt: readonly number[],
  request: Pick<CheckedRequest, "maxTokens" | "sampling" | "stop"> & { system: number },
  hooks: ChatHooks,
) => Promise<CompletionResult>;

export interface ChatHooks {
  /** Gets what each token has brought, as soon as it is certain; often nothing. */
  readonly onDeltas: (deltas: readonly AnswerDelta[]) => void;
  /** Is called when some of the prompt has been read: the cache is then of this request. */
  readonly onRead?: () => void;
  /** Gets how far the prompt has been read, some ten times a second, and once it is read. */
  readonly onProgress?: ((progress: ReadProgress) => void) | undefined;
  readonly signal: AbortSignal;
}

/** How the answers to a request ended. */
export interface Answered {
  /** Of each answer, why. */
  finishes: FinishReason[];
  usage: Usage;
}
