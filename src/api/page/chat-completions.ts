import { loadLater } from "../../errors.ts";
import {
  type CheckedRequest,
  checkRead,
  checkRequestOptions,
  readRequest,
} from "../checks/validate-request.ts";
import type { AnswerDelta, Completion, OnBatch } from "../protocol.ts";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  FinishReason,
  ReadProgress,
  RequestOptions,
  Usage,
} from "../types.ts";
import { DeltaQueue } from "./delta-queue.ts";
import { wholeChoice } from "./whole-choice.ts";

/** Where a request is answered, how it is stopped, and who is told how far reading has come. */
export interface CompleteOptions {
  conversation: string;
  signal: AbortSignal;
  onProgress?: ((progress: ReadProgress) => void) | undefined;
}

/** Answers a checked request: text in batches, then how it ended. Rejects with WinnowError. */
export interface CompletionPort {
  readonly modelName: string;
  /** Throws closed. */
  checkOpen(): void;
  complete(
    request: CheckedRequest,
    options: CompleteOptions,
    onBatch: OnBatch,
  ): Promise<Completion>;
}

/** OpenAI's chat.completions over a CompletionPort. */
export class ChatCompletions {
  private readonly port: CompletionPort;

  constructor(port: CompletionPort) {
    this.port = port;
  }

  create(
    request: ChatCompletionRequest & { stream: true },
    options?: RequestOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  create(
    request: ChatCompletionRequest & { stream?: false | null | undefined },
    options?: RequestOptions,
  ): Promise<ChatCompletion>;
  create(
    request: ChatCompletionRequest,
    options?: RequestOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion>;
  async create(
    request: ChatCompletionRequest,
    options?: RequestOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion> {
    const read = readRequest(request);
    const further = () => import("../checks/openai-fields.ts");
    const more = read.more ? await loadLater("checks of the request", further) : undefined;
    const checked = checkRead(read, more);
    const { signal, conversation, onProgress } = checkRequestOptions(options);
    this.port.checkOpen();
    const stop = linkedAbort(signal);
    const header = {
      id: newId(),
      created: unixTime(),
      model: checked.model ?? this.port.modelName,
    };
    const run = (onBatch: OnBatch): Promise<Completion> =>
      this.port
        .complete(checked, { conversation, signal: stop.signal, onProgress }, onBatch)
        .finally(stop.unlink);
    if (checked.stream) return stream(header, checked.includeUsage, run, stop.abort);
    const deltas: AnswerDelta[] = [];
    const { finishes, usage } = await run((batch) => void deltas.push(...batch.deltas));
    const [first, ...others] = finishes.map((finish, index) => wholeChoice(index, deltas, finish));
    return { ...header, object: "chat.completion", choices: [first!, ...others], usage };
  }
}

interface Header {
  id: string;
  created: number;
  model: string;
}

/** Chunks: the role first, then what is new, then the reason it ended with the usage. */
function stream(
  header: Header,
  includeUsage: boolean,
  run: (onBatch: OnBatch) => Promise<Completion>,
  abort: () => void,
): AsyncIterable<ChatCompletionChunk> {
  const queue = new DeltaQueue<ChatCompletionChunk>(abort);
  queue.push(chunk(header, { index: 0, role: "assistant", content: "" }, null));
  run((batch) => {
    for (const delta of batch.deltas) queue.push(chunk(header, delta, null));
  }).then(
    ({ finishes, usage }) => {
      finishes.forEach((finish, index) => {
        const last = index === finishes.length - 1;
        queue.push(chunk(header, { index }, finish, last && includeUsage ? usage : undefined));
      });
      queue.end();
    },
    (error: unknown) => queue.fail(error),
  );
  return queue;
}

function chunk(
  header: Header,
  { index, logprobs, ...delta }: AnswerDelta & { role?: "assistant" },
  finish: FinishReason | null,
  usage?: Usage,
): ChatCompletionChunk {
  return {
    ...header,
    object: "chat.completion.chunk",
    choices: [
      {
        index,
        delta,
        finish_reason: finish,
        ...(logprobs && { logprobs: { content: logprobs, refusal: null } }),
      },
    ],
    ...(usage ? { usage } : {}),
  };
}

/** A signal that fires with the caller's, or when the consumer leaves. */
function linkedAbort(outer: AbortSignal | undefined): {
  signal: AbortSignal;
  abort: () => void;
  unlink: () => void;
} {
  const controller = new AbortController();
  const forward = (): void => controller.abort(outer?.reason);
  if (outer?.aborted) forward();
  outer?.addEventListener("abort", forward, { once: true });
  return {
    signal: controller.signal,
    abort: () => controller.abort(),
    unlink: () => outer?.removeEventListener("abort", forward),
  };
}

const newId = (): string => `chatcmpl-${Math.random().toString(36).slice(2, 12)}`;
const unixTime = (): number => Math.floor(Date.now() / 1000);
