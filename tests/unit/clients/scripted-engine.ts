import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Engine,
  EngineOptions,
  RequestOptions,
} from "../../../src/api/types.ts";
import { throwIfAborted, WinnowError } from "../../../src/errors.ts";

type Delta = ChatCompletionChunk["choices"][0]["delta"];

/** An answer: its deltas in order, and how it ends. */
export interface Reply {
  deltas: Delta[];
  finish?: "stop" | "length" | "tool_calls";
  /** Thrown in place of the end. */
  error?: WinnowError;
  /** Held back before the first delta until this resolves. */
  after?: Promise<unknown>;
}

export const text = (...pieces: string[]): Delta[] => pieces.map((content) => ({ content }));

/** A call, its arguments in two pieces. */
export function call(id: string, name: string, args: string, index = 0): Delta[] {
  const half = args.length >> 1;
  return [
    { tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] },
    { tool_calls: [{ index, function: { arguments: args.slice(0, half) } }] },
    { tool_calls: [{ index, function: { arguments: args.slice(half) } }] },
  ];
}

export interface Asked {
  request: ChatCompletionRequest;
  options: RequestOptions;
}

/** An engine that answers from a script, in the shapes of its API, and counts as cached what a conversation was asked before. */
export class ScriptedEngine {
  readonly asked: Asked[] = [];
  /** Each conversation's last prompt. */
  readonly conversations = new Map<string, string>();
  readonly forks: [string, string][] = [];
  readonly resets: string[] = [];
  closed = false;
  /** Streams that ended early. */
  left = 0;
  private readonly reply: (asked: Asked, count: number) => Reply;

  constructor(
    reply: (asked: Asked, count: number) => Reply = () => ({ deltas: text("Hello", "!") }),
  ) {
    this.reply = reply;
  }

  /** As its users hold it. */
  get engine(): Engine {
    return this as unknown as Engine;
  }

  readonly chat = {
    completions: {
      create: async (
        request: ChatCompletionRequest,
        options: RequestOptions = {},
      ): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion> => {
        if (this.closed) throw new WinnowError("closed", "the engine is closed");
        const asked = structuredClone({ request, options: { conversation: options.conversation } });
        this.asked.push(asked);
        const chunks = this.stream(request, options, this.reply(asked, this.asked.length - 1));
        return request.stream ? chunks : collect(chunks);
      },
    },
  };

  /** What was read without being asked about. */
  readonly read: Asked[] = [];

  readonly cache = {
    read: async (request: ChatCompletionRequest, options: RequestOptions): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve));
      throwIfAborted(options.signal);
      this.read.push(structuredClone({ request, options: { conversation: options.conversation } }));
    },
    fork: async (from: string, to: string): Promise<void> => {
      this.forks.push([from, to]);
      this.conversations.set(to, this.conversations.get(from) ?? "");
    },
    reset: async ({ conversation }: { conversation: string }): Promise<void> => {
      this.resets.push(conversation);
      this.conversations.delete(conversation);
    },
    usage: () => ({ budget: this.budget }),
  };

  /** "full": without a bound, and so with an end. */
  budget: number | "full" = 512;
  /** A token per word, and two per message. */
  countTokens = async ({ messages }: Pick<ChatCompletionRequest, "messages">): Promise<number> =>
    messages.reduce(
      (sum, { content }) => sum + 2 + `${content}`.split(/\s+/).filter(Boolean).length,
      0,
    );

  info = () => ({ model: { name: "scripted", contextLength: 100 } });

  async close(): Promise<void> {
    this.closed = true;
  }

  private async *stream(
    { messages }: ChatCompletionRequest,
    { signal, conversation }: RequestOptions,
    { deltas, finish = "stop", error, after }: Reply,
  ): AsyncGenerator<ChatCompletionChunk> {
    const prompt = messages.map((message) => JSON.stringify(message)).join("");
    const name = conversation ?? "default";
    const before = this.conversations.get(name) ?? "";
    this.conversations.set(name, prompt);
    const cached = prompt.startsWith(before) ? before.length : 0;
    const header = {
      id: "id-1",
      object: "chat.completion.chunk" as const,
      created: 7,
      model: "scripted",
      inferenceSource: "on_device" as const,
    };
    const chunk = (delta: Delta): ChatCompletionChunk => ({
      ...header,
      choices: [{ index: 0, delta, finish_reason: null }],
    });
    let whole = false;
    try {
      const aborted = new Promise((resolve) => signal?.addEventListener("abort", resolve));
      await Promise.race([after, after && aborted]);
      yield chunk({ role: "assistant", content: "" });
      for (const delta of deltas) {
        await new Promise((resolve) => setTimeout(resolve));
        throwIfAborted(signal);
        yield chunk(delta);
      }
      throwIfAborted(signal);
      if (error) throw error;
      const thoughts = deltas.filter((delta) => delta.reasoning_content).length;
      whole = true;
      yield {
        ...header,
        choices: [{ index: 0, delta: {}, finish_reason: finish }],
        usage: {
          prompt_tokens: prompt.length,
          completion_tokens: deltas.length,
          total_tokens: prompt.length + deltas.length,
          prompt_tokens_details: { cached_tokens: cached },
          completion_tokens_details: { reasoning_tokens: thoughts },
          extra: { prefill_tokens_per_s: 1, decode_tokens_per_s: 2, time_to_first_token_s: 3 },
        },
      };
    } finally {
      if (!whole) this.left += 1;
    }
  }
}

async function collect(chunks: AsyncIterable<ChatCompletionChunk>): Promise<ChatCompletion> {
  const message: ChatCompletion["choices"][0]["message"] = {
    role: "assistant",
    content: "",
    refusal: null,
  };
  for await (const { choices, usage, object: _, ...header } of chunks) {
    const [{ delta, finish_reason }] = choices;
    message.content += delta.content ?? "";
    if (delta.reasoning_content)
      message.reasoning_content = (message.reasoning_content ?? "") + delta.reasoning_content;
    for (const { index, id, function: called } of delta.tool_calls ?? []) {
      message.tool_calls ??= [];
      const calls = message.tool_calls;
      calls[index] ??= {
        id: id!,
        type: "function",
        function: { name: called!.name!, arguments: "" },
      };
      calls[index]!.function.arguments += called?.arguments ?? "";
    }
    if (finish_reason)
      return {
        ...header,
        object: "chat.completion",
        choices: [{ index: 0, message, finish_reason, logprobs: null }],
        usage: usage!,
      };
  }
  throw new Error("the script has no end");
}

/** `createEngine` that yields the scripted engine, after `loading`. */
export const makerOf = (
  scripted: () => ScriptedEngine,
  loading: (options: EngineOptions) => Promise<void> = async () => {},
) => {
  const made: EngineOptions[] = [];
  return {
    made,
    createEngine: async (options: EngineOptions): Promise<Engine> => {
      made.push(options);
      await loading(options);
      return scripted().engine;
    },
    listModels: async () => [],
  };
};
