import type { BenchEngine, TurnRequest, TurnResult } from "./bench-engine.ts";
import { gpuCounts } from "./count-webgpu.ts";
import type { Cache, Model, Tokenizer, Transformers } from "./transformers-api.ts";

/** Folder under the page's address where the ONNX files lie. */
const MODEL = "model";

interface Chat {
  /** Ids of everything so far, answers as they were generated. */
  ids: bigint[];
  past: Cache | null;
}

/** The transformers.js API with the settings that are best for it: q4, WebGPU, its cache kept between turns. */
export class TransformersJsEngine implements BenchEngine {
  private library: Transformers | undefined;
  private model: Model | undefined;
  private tokenizer: Tokenizer | undefined;
  private chat: (Chat & { name: string }) | undefined;
  private readonly memories: WebAssembly.Memory[] = [];

  constructor() {
    const memories = this.memories;
    const Memory = WebAssembly.Memory;
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        super(descriptor);
        memories.push(this);
      }
    };
  }

  async load(): Promise<void> {
    const address = "/transformers/transformers.web.min.js";
    const library: Transformers = await import(/* @vite-ignore */ address);
    const { env, AutoModelForCausalLM, AutoTokenizer } = library;
    env.allowRemoteModels = false;
    env.allowLocalModels = true;
    env.localModelPath = "/onnx/";
    env.backends.onnx.wasm.wasmPaths = `${location.origin}/ort/`;
    this.library = library;
    this.tokenizer = await AutoTokenizer.from_pretrained(MODEL);
    this.model = await AutoModelForCausalLM.from_pretrained(MODEL, {
      dtype: "q4",
      device: "webgpu",
    });
  }

  async backend(): Promise<string> {
    const adapter = await navigator.gpu.requestAdapter();
    const { vendor, architecture, description } = adapter!.info;
    const where = [vendor, architecture, description].filter(Boolean).join(" ");
    const { dispatches } = gpuCounts();
    if (dispatches === 0)
      return "onnxruntime-web on the CPU (WebAssembly): no WebGPU dispatch seen";
    return `onnxruntime-web WebGPU on ${where}; ${dispatches} dispatches seen`;
  }

  version(): string {
    return this.library!.env.version;
  }

  async turn(request: TurnRequest): Promise<TurnResult> {
    if (request.budget !== "full") throw new Error("transformers.js has no cache budget");
    const { Tensor, TextStreamer } = this.library!;
    const tokenizer = this.tokenizer!;
    const start = performance.now();
    if (this.chat?.name !== request.conversation) {
      await this.reset();
      const past = request.filled ? this.madeUp(request.filled) : null;
      const ids = new Array<bigint>(request.filled ?? 0).fill(0n);
      this.chat = { name: request.conversation, ids, past };
    }
    const chat = this.chat;
    const encoded = tokenizer(request.added, { add_special_tokens: false });
    chat.ids.push(...encoded.input_ids.data);
    const length = chat.ids.length;
    const times: number[] = [];
    const streamer = new TextStreamer(tokenizer, {
      skip_prompt: true,
      callback_function: () => {},
      token_callback_function: () => {
        times.push(performance.now());
      },
    });
    const { sequences, past_key_values: past } = await this.model!.generate({
      input_ids: new Tensor("int64", BigInt64Array.from(chat.ids), [1, length]),
      attention_mask: new Tensor("int64", new BigInt64Array(length).fill(1n), [1, length]),
      max_new_tokens: request.tokens,
      min_new_tokens: request.tokens,
      do_sample: false,
      return_dict_in_generate: true,
      past_key_values: chat.past,
      streamer,
    });
    chat.past = past;
    const all = [...sequences.data];
    const answer = all.slice(length);
    chat.ids = all;
    return {
      text: tokenizer.decode(answer.map(Number), { skip_special_tokens: true }),
      promptTokens: length,
      completionTokens: answer.length,
      firstTokenMs: times[0]! - start,
      decodeMs: times.at(-1)! - times[0]!,
    };
  }

  /** A cache of `tokens` pairs per head, [1, G, tokens, D] each: how long a token takes depends on how many there are alone. */
  private madeUp(tokens: number): Cache {
    const { DynamicCache, Tensor } = this.library!;
    const { num_hidden_layers, num_key_value_heads, hidden_size, num_attention_heads } =
      this.model!.config;
    const shape = [1, num_key_value_heads!, tokens, hidden_size! / num_attention_heads!];
    const numbers = Float32Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      (_, i) => Math.sin(i) / 8,
    );
    const names = Array.from({ length: num_hidden_layers! }, (_, layer) =>
      ["key", "value"].map((part) => `past_key_values.${layer}.${part}`),
    ).flat();
    return new DynamicCache(
      Object.fromEntries(names.map((name) => [name, new Tensor("float32", numbers, shape)])),
    );
  }

  async reset(): Promise<void> {
    await this.chat?.past?.dispose();
    this.chat = undefined;
  }

  async counts() {
    return gpuCounts();
  }

  wasmBytes(): number {
    return this.memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  }
}
