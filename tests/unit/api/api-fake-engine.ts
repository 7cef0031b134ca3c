import { checkEngineOptions } from "../../../src/api/checks/validate-engine.ts";
import { EngineClient } from "../../../src/api/page/client.ts";
import { connectLocal } from "../../../src/api/page/connect-local.ts";
import type { CacheOptions, CacheUsage, EngineOptions } from "../../../src/api/types.ts";
import type { OpenEngine } from "../../../src/api/worker/opened-engine.ts";
import { EngineService } from "../../../src/api/worker/service.ts";
import { checkSettings } from "../../../src/cache/budget.ts";
import { withChange } from "../../../src/cache/cache-options.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { throwIfAborted, WinnowError } from "../../../src/errors.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { seededRandom } from "../../../src/random.ts";
import type { ChatMessage, ChatTemplate, Tokenizer } from "../../../src/text/types.ts";
import { drawTokens } from "../../reference/schemas/random-walk.ts";

const END = 256;

/** One token a byte; 256 ends an answer. */
export const byteTokenizer: Tokenizer = {
  vocabSize: 257,
  endTokens: new Set([END]),
  prefix: [],
  encode: (text) => [...new TextEncoder().encode(text)],
  decode: (ids) => new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id < END))),
  tokenBytes: (id) => (id < END ? Uint8Array.of(id) : new Uint8Array(0)),
};

const template: ChatTemplate = {
  source: "",
  stop: ["<|im_end|>"],
  render: (messages) => messages.map(({ role, content }) => `<${role}>${content}`).join(""),
  encode: (messages, tokenizer) => tokenizer.encode(`${template.render(messages)}<assistant>`),
};

type GenerateArguments = Parameters<ReturnType<InferenceEngine["conversation"]>["generate"]>;

/** What the fake does, for the test to see and to steer. */
export class FakeEngine {
  /** What new conversations begin with. */
  cache: CacheOptions = {};
  tokenizer: Tokenizer = byteTokenizer;
  template: ChatTemplate = template;
  /** Whether it draws at random what a constraint lets it, in place of `answer`. */
  draws = false;
  contextLength = 1000;
  /** Whether chats go on past that. */
  endless = false;
  /** What it answers, then the end token. */
  answer = "hello";
  /** Prompt tokens that it reads at once, and how long that takes. */
  chunk = { tokens: 128, milliseconds: 0 };
  /** Copies of conversations that were made. */
  forks = 0;
  /** Calls as they happened: "start a", "end a", "left a", "configure a 64"... */
  readonly log: string[] = [];
  /** Thrown in place of the next answer's third token. */
  failure: Error | undefined;
  /** Calibrations that were to be kept, and those that were put in use. */
  readonly kept: Uint8Array[] = [];
  readonly installed: Uint8Array[] = [];
  /** Conversations whose cache is gone, to be told once. */
  readonly gaveWay: string[] = [];
  /** Whether its policy lacks a calibration, and whether the user refused one. */
  wantsCalibration = true;
  refused = false;
  readonly shape = {
    layers: 2,
    heads: 2,
    kvHeads: 1,
    headDim: 4,
    frequencies: [new Float64Array(2), new Float64Array(2)],
  };
  private readonly conversations = new Map<string, FakeConversation>();

  async install(file: Uint8Array): Promise<void> {
    this.installed.push(file);
  }

  unnamedConversation(): FakeConversation {
    return new FakeConversation(this, "unnamed");
  }

  /** Heads that lean on one dimension, chunk by chunk. */
  async *captureHeads(tokens: readonly number[], signal?: AbortSignal) {
    const { layers, heads, kvHeads, headDim } = this.shape;
    const wave = (count: number) =>
      Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7) + (i % headDim ? 0 : 3));
    for (let start = 0; start < tokens.length; start += 128) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      throwIfAborted(signal);
      const rows = Math.min(128, tokens.length - start);
      for (let layer = 0; layer < layers; layer++)
        yield {
          layer,
          rows,
          start,
          queries: wave(rows * heads * headDim),
          keys: wave(rows * kvHeads * headDim),
          values: wave(rows * kvHeads * headDim),
        };
    }
  }

  async rereadAttention(tokens: readonly number[]): Promise<Float32Array[][]> {
    const { layers, kvHeads } = this.shape;
    const scores = Float32Array.from(tokens, (_, i) => 1 / (1 + i));
    return Array.from({ length: layers }, () => new Array<Float32Array>(kvHeads).fill(scores));
  }

  async outputMatrix(): Promise<Float32Array> {
    const { heads, headDim } = this.shape;
    return Float32Array.from({ length: 6 * heads * headDim }, (_, i) => Math.sin(i));
  }

  conversation(id: string): FakeConversation {
    let found = this.conversations.get(id);
    if (!found) {
      found = new FakeConversation(this, id);
      this.conversations.set(id, found);
    }
    return found;
  }

  async fork(from: string, to: string): Promise<void> {
    if (!this.conversations.has(from))
      throw new WinnowError("invalid_argument", `from: no ${from}`);
    this.log.push(`fork ${from} ${to}`);
    this.conversation(to).tokens = [...this.conversation(from).tokens];
  }

  takeGaveWay(): string[] {
    return this.gaveWay.splice(0);
  }

  memory() {
    return { weights: 10, kv: 5, activations: 2, staging: 1, total: 18 };
  }

  info() {
    return {
      model: {
        name: "fake",
        architecture: "none",
        parameters: 1,
        contextLength: 1000,
        bytes: 1,
        sha256: "",
      },
      adapter: { vendor: "", architecture: "", device: "", description: "none", fallback: false },
      features: [],
      kernels: {},
      kv: "f16" as const,
      notices: [],
    };
  }

  async close(): Promise<void> {
    this.log.push("close");
  }
}

class FakeConversation {
  tokens: number[] = [];
  /** What has been said. */
  messages?: readonly ChatMessage[];
  /** What was read last, and how many of its first tokens are the system message. */
  prompt: readonly number[] = [];
  system = 0;
  private cache: CacheOptions;
  private readonly engine: FakeEngine;
  private readonly id: string;

  constructor(engine: FakeEngine, id: string) {
    this.engine = engine;
    this.id = id;
    this.cache = engine.cache;
  }

  get endless(): boolean {
    return this.engine.endless;
  }

  get wantsCalibration(): boolean {
    return this.engine.wantsCalibration && this.engine.installed.length === 0;
  }

  usage(): CacheUsage {
    return {
      budget: this.cache.budget ?? 512,
      budgetBytes: 4096,
      policy: this.cache.policy ?? "q-filters",
      window: this.cache.window ?? 64,
      sinks: this.cache.sinks ?? 4,
      wholeLayers: this.cache.wholeLayers ?? 0,
      protect: this.cache.protect ?? "system",
      reread: this.cache.reread ?? false,
      tokensSeen: this.tokens.length,
      pairsKept: this.tokens.length,
      pairsEvicted: 0,
      bytes: this.tokens.length,
      bytesOfStates: 0,
      bytesUncompressed: this.tokens.length,
    };
  }

  async configure(cache: CacheOptions): Promise<CacheUsage> {
    const asked = withChange(this.cache, cache);
    checkSettings(asked);
    this.cache = asked;
    this.engine.log.push(`configure ${this.id} ${cache.budget}`);
    return this.usage();
  }

  fork(): FakeConversation {
    this.engine.forks += 1;
    const copy = new FakeConversation(this.engine, `${this.id} copy ${this.engine.forks}`);
    copy.tokens = [...this.tokens];
    return copy;
  }

  async retention() {
    return { heads: 1, tokens: this.tokens.map(String), kept: this.tokens.map(() => 1) };
  }

  async reset(): Promise<void> {
    this.engine.log.push(`reset ${this.id}`);
    this.tokens = [];
  }

  async *generate(prompt: readonly number[], options: GenerateArguments[1]) {
    const { engine, id } = this;
    engine.log.push(`start ${id}`);
    [this.prompt, this.system] = [prompt, options.system ?? 0];
    const common = this.tokens.length > 0 && this.tokens.every((token, i) => token === prompt[i]);
    const cachedTokens = common ? Math.min(this.tokens.length, prompt.length - 1) : 0;
    const result = { cachedTokens, promptTokens: prompt.length };
    const total = prompt.length - cachedTokens;
    const { tokens, milliseconds } = engine.chunk;
    for (let read = 0; read < total; ) {
      read = Math.min(total, read + tokens);
      options.onPrefill?.(read, total);
      if (milliseconds === 0) continue;
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      throwIfAborted(options.signal);
    }
    this.tokens = [...prompt];
    let ended = false;
    try {
      const { constraint, sampling } = options;
      const answer =
        engine.draws && constraint
          ? drawTokens(engine.tokenizer, constraint, seededRandom(sampling.seed))
          : engine.tokenizer.encode(engine.answer);
      let index = -1;
      for (const token of answer) {
        index += 1;
        await new Promise((resolve) => setTimeout(resolve, 1));
        throwIfAborted(options.signal);
        if (index === options.maxTokens) {
          ended = true;
          return { finish: "length" as const, ...result };
        }
        if (engine.failure && index === 2) throw engine.failure;
        if (options.topLogprobs !== undefined) {
          const top = [token, 65].map((token, i) => ({ token, logprob: -0.5 - i }));
          options.onScores?.({ logprob: -0.5, top: top.slice(0, options.topLogprobs) });
        }
        yield token;
        this.tokens.push(token);
      }
      ended = true;
      return { finish: "stop" as const, ...result };
    } finally {
      engine.log.push(`${ended ? "end" : "left"} ${id}`);
    }
  }
}

const opening =
  (fake: FakeEngine): OpenEngine =>
  async ({ cache }, onProgress, signal) => {
    fake.cache = cache;
    onProgress({ stage: "ready", loaded: 1, total: 1 });
    throwIfAborted(signal);
    return {
      engine: fake as unknown as InferenceEngine,
      sha256: "abc",
      keepCalibration: async (file) => {
        fake.kept.push(file);
        return true;
      },
      refuseCalibration: async () => {
        fake.refused = true;
      },
      openFile: async (address) => new MemorySource(new TextEncoder().encode(address), address),
      close: () => fake.close(),
    };
  };

/** The worker's side over a fake engine. */
export const serviceOver = (fake: FakeEngine): EngineService => new EngineService(opening(fake));

/** The public engine over a fake one, by way of the real client and service. */
export async function openFake(options: Partial<EngineOptions> = {}): Promise<{
  engine: EngineClient;
  fake: FakeEngine;
}> {
  const fake = new FakeEngine();
  const checked = checkEngineOptions({ model: "fake", ...options });
  return {
    engine: await EngineClient.open(connectLocal(new EngineService(opening(fake))), checked, {}),
    fake,
  };
}
