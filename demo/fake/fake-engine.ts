import { checkMessages } from "../../src/api/checks/validate-messages.ts";
import type {
  CalibrateOptions,
  CalibrationResult,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ConversationOptions,
  Engine,
  EngineInfo,
  EngineOptions,
  FinishReason,
  MemoryReport,
  RequestOptions,
  Usage,
} from "../../src/api/types.ts";
import { throwIfAborted, WinnowError } from "../../src/errors.ts";
import type { ChatMessage } from "../../src/text/types.ts";
import { answerFor } from "./answers.ts";
import { COST, FakeCache } from "./fake-cache.ts";
import { readFakeChat, split, wordsOf, writeFakeChat } from "./fake-chat-file.ts";
import { fakeLoad, pause, WEIGHT_BYTES } from "./fake-load.ts";

/**
 * Stands in for the engine while the page is worked on: no GPU, no weights, the same behaviour seen
 * from outside. Query parameters beside those of loading: `fail=answer`, `adapter=software`, `notice`, `rate=N` tokens of an
 * answer per second, `read=N` tokens of a prompt per second.
 */
const query = new URLSearchParams(location.search);
const RATE = Number(query.get("rate") ?? 24);
const READING_RATE = Number(query.get("read") ?? 500);
/** Tokens of a prompt that are read at once. */
const CHUNK = 128;
/** `stored`: the model is here, and nothing is downloaded. */
export async function createFakeEngine(options: EngineOptions, stored: boolean): Promise<Engine> {
  await fakeLoad(options, stored);
  return new FakeEngine(options) as PageEngine as Engine;
}

interface FakeConversation {
  cache: FakeCache;
  /** What it has seen. */
  last: string[];
  messages: ChatMessage[];
}

/** What the page uses of an engine. */
type PageEngine = Omit<Engine, "completions" | "models">;

class FakeEngine implements PageEngine {
  readonly #conversations = new Map<string, FakeConversation>();
  readonly #options: EngineOptions;
  #requests = 0;
  #calibrated = false;
  readonly cache: Engine["cache"];
  readonly chat: Engine["chat"];

  constructor(options: EngineOptions) {
    this.#options = options;
    const cacheOf = ({ conversation }: ConversationOptions = {}) => this.#of(conversation).cache;
    this.cache = {
      usage: (which) => cacheOf(which).usage(),
      configure: async (change, which) => {
        await pause(60);
        return cacheOf(which).configure(change);
      },
      read: async (request, options = {}) => {
        await this.#read(checkMessages(request.messages), options);
        return this.#of(options.conversation ?? undefined).cache.usage();
      },
      retention: async (which) => cacheOf(which).retention(),
      reset: async ({ conversation } = {}) => {
        const reset = this.#of(conversation);
        reset.last = [];
        reset.cache.reset();
      },
      save: async ({ conversation } = {}) => {
        const { last, messages, cache } = this.#of(conversation);
        return writeFakeChat({ last, messages, tokens: cache.tokens });
      },
      load: async (source, { conversation } = {}) => {
        const { messages, last = wordsOf(messages), tokens = last } = await readFakeChat(source);
        const place = this.#of(conversation);
        Object.assign(place, { last, messages });
        place.cache.reset();
        for (const token of tokens) place.cache.append(token);
        return { messages, usage: place.cache.usage() };
      },
      fork: async () => undefined,
    };
    const create = (
      request: ChatCompletionRequest,
      requestOptions: RequestOptions = {},
    ): Promise<unknown> =>
      request.stream === true
        ? Promise.resolve(this.#stream(request, requestOptions))
        : this.#collect(request, requestOptions);
    this.chat = { completions: { create: create as Engine["chat"]["completions"]["create"] } };
  }

  async countTokens({ messages }: ChatCompletionRequest): Promise<number> {
    return wordsOf(checkMessages(messages)).length;
  }

  async calibrate({ signal, onProgress }: CalibrateOptions = {}): Promise<CalibrationResult> {
    const stages = [
      ["writing", 1024],
      ["queries", 30_720],
      ["filters", 30],
      ["install", 1],
    ] as const;
    for (const [stage, total] of stages)
      for (let i = 0; i <= 20; i++) {
        throwIfAborted(signal);
        onProgress?.({ stage, loaded: Math.round((total * i) / 20), total });
        await pause(60);
      }
    this.#calibrated = true;
    const explained = Array.from({ length: 30 }, () => [0.62, 0.55, 0.71]);
    const shape = { layers: 30, kvHeads: 3, headDim: 64, samples: 1024, tokens: 1100 };
    return { ...shape, explained, file: new Uint8Array(0), kept: true };
  }

  /** The stand-in begins nothing by itself. */
  async stopCalibration(): Promise<void> {}

  memory(): MemoryReport {
    const caches = [...this.#conversations.values()].map(({ cache }) => cache.usage().bytes);
    const parts = {
      weights: 101_204_992,
      kv: Math.max(
        caches.reduce((sum, bytes) => sum + bytes, 0),
        6_082_560,
      ),
      activations: 9_437_184,
      staging: 1_048_576,
    };
    return { ...parts, total: Object.values(parts).reduce((sum, part) => sum + part, 0) };
  }

  info(): EngineInfo {
    const software = query.get("adapter") === "software";
    return {
      model: {
        name: "SmolLM2-135M-Instruct",
        architecture: "llama",
        parameters: 134_515_008,
        contextLength: 8192,
        bytes: WEIGHT_BYTES,
        sha256: "",
      },
      adapter: {
        vendor: "stand-in",
        architecture: "none",
        device: "",
        description: software ? "Stand-in software adapter" : "Stand-in adapter",
        fallback: software,
      },
      features: ["subgroups", "shader-f16"],
      kernels: {},
      tuning: {
        mode: "off",
        source: "adapter",
        plan: { row: "split-k", tile: "8x8/32" },
        timings: [],
        seconds: 0,
      },
      speculative: "lookup",
      kv: "f16",
      cache: COST,
      notices:
        query.has("notice") && !this.#calibrated
          ? ["No calibrated filters for this model: q-filters fell back to k-norm."]
          : [],
    };
  }

  async close(): Promise<void> {
    this.#conversations.clear();
  }

  #of(conversation = "default"): FakeConversation {
    const known = this.#conversations.get(conversation);
    const found = known ?? { cache: new FakeCache(this.#options.cache), last: [], messages: [] };
    this.#conversations.set(conversation, found);
    return found;
  }

  async #collect(request: ChatCompletionRequest, options: RequestOptions): Promise<ChatCompletion> {
    let content = "";
    let usage: Usage | undefined;
    for await (const chunk of this.#stream(request, options)) {
      content += chunk.choices[0].delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    return {
      id: "fake",
      object: "chat.completion",
      created: 0,
      model: "fake",
      inferenceSource: "on_device",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content, refusal: null },
          finish_reason: "stop",
          logprobs: null,
        },
      ],
      usage: usage!,
    };
  }

  /** Reads what the conversation has not read yet. Returns how many words there are, and how many were new. */
  async #read(
    messages: readonly ChatMessage[],
    { signal, conversation, onProgress }: RequestOptions,
  ): Promise<{ words: number; fresh: number }> {
    const place = this.#of(conversation ?? undefined);
    const words = wordsOf(messages);
    if (commonPrefix(place.last, words) < place.last.length) {
      place.cache.reset();
      place.last = [];
    }
    const fresh = words.slice(place.last.length);
    await pause(250);
    const total = fresh.length;
    for (let read = 0; read < total; read += CHUNK) {
      onProgress?.({
        read,
        total,
        secondsLeft: read > 0 ? (total - read) / READING_RATE : undefined,
      });
      const piece = fresh.slice(read, read + CHUNK);
      await pause((1000 * piece.length) / READING_RATE);
      throwIfAborted(signal);
      for (const token of piece) place.cache.append(token);
      place.last.push(...piece);
    }
    throwIfAborted(signal);
    onProgress?.({ read: total, total, secondsLeft: 0 });
    place.messages = [...messages];
    return { words: words.length, fresh: total };
  }

  async *#stream(
    request: ChatCompletionRequest,
    { signal, conversation, onProgress }: RequestOptions,
  ): AsyncGenerator<ChatCompletionChunk> {
    const begin = performance.now();
    const place = this.#of(conversation ?? undefined);
    const { cache } = place;
    const messages = checkMessages(request.messages);
    const { words, fresh } = await this.#read(messages, { signal, conversation, onProgress });
    const first = performance.now();
    const answer = split(answerFor(messages.at(-1)!.content, this.#requests++));
    const limit = Math.min(answer.length, request.max_tokens ?? Number.POSITIVE_INFINITY);
    place.last.push("assistant\n");
    const said: ChatMessage = { role: "assistant", content: "" };
    place.messages = [...messages, said];
    for (let i = 0; i < limit; i++) {
      await pause(1000 / RATE);
      throwIfAborted(signal);
      if (query.get("fail") === "answer" && i === 30)
        throw new WinnowError("device_lost", "the GPU device was lost and could not be rebuilt", {
          hint: "Close other tabs that use the GPU, then press Retry.",
        });
      cache.append(answer[i]!);
      place.last.push(answer[i]!);
      said.content += answer[i]!;
      yield chunk(answer[i]!, null);
    }
    place.last.push("\n");
    const seconds = Math.max(0.001, (performance.now() - first) / 1000);
    yield {
      ...chunk("", limit < answer.length ? "length" : "stop"),
      usage: {
        prompt_tokens: words,
        completion_tokens: limit,
        total_tokens: words + limit,
        prompt_tokens_details: { cached_tokens: words - fresh },
        extra: {
          prefill_tokens_per_s: fresh / ((first - begin) / 1000),
          decode_tokens_per_s: limit / seconds,
          time_to_first_token_s: (first - begin) / 1000,
        },
      },
    };
  }
}

function commonPrefix(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

const chunk = (content: string, finish_reason: FinishReason | null): ChatCompletionChunk => ({
  id: "fake",
  object: "chat.completion.chunk",
  created: 0,
  model: "fake",
  inferenceSource: "on_device",
  choices: [{ index: 0, delta: { content }, finish_reason }],
});
