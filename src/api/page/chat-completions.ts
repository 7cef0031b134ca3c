import { loadLater } from "../../errors.ts";
import {
  type CheckedRequest,
  checkRead,
  checkRequestOptions,
  readRequest,
} from "../checks/validate-request.ts";
import type { AnswerDelta } from "../protocol.ts";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  FinishReason,
  RequestOptions,
  Usage,
} from "../types.ts";
import { beginRequest, type CompletionPort, type Header, type Run } from "./begin-request.ts";
import { DeltaQueue } from "./delta-queue.ts";
import { wholeChoice } from "./whole-choice.ts";

/** A request that is in order: it is read at once. Throws invalid_argument. */
export async function checkedRequest(request: ChatCompletionRequest): Promise<CheckedRequest> {
  const read = readRequest(request);
  const further = () => import("../checks/openai-fields.ts");
  const more = read.more ? await loadLater("checks of the request", further) : undefined;
  return checkRead(read, more);
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
    const asked = checkRequestOptions(options);
    const checked = await this.port.turn(asked, checkedRequest(request));
    const { header, run, abort } = beginRequest(this.port, "chatcmpl", checked, asked);
    if (checked.stream) return stream(header, checked, run, abort);
    const deltas: AnswerDelta[] = [];
    const { finishes, usage } = await run((batch) => void deltas.push(...batch.deltas));
    const [first, ...others] = finishes.map((finish, index) => wholeChoice(index, deltas, finish));
    return { ...header, object: "chat.completion", choices: [first!, ...others], usage };
  }
}

/** Chunks: the role first, then what is new, then the reason it ended with the usage. */
function stream(
  header: Header,
  { n, includeUsage }: Pick<CheckedRequest, "n" | "includeUsage">,
  run: Run,
  abort: () => void,
): AsyncIterable<ChatCompletionChunk> {
  const queue = new DeltaQueue<ChatCompletionChunk>(abort);
  for (let index = 0; index < n; index += 1)
    queue.push(chunk(header, { index, role: "assistant", content: "" }, null));
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
