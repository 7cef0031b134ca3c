import type * as WllamaModule from "@wllama/wllama";
import type { BenchEngine, EngineUrls, TurnRequest, TurnResult } from "./bench-engine.ts";

/** Positions of the model, so that no history is cut. */
const CONTEXT = 8192;

/** wllama with the same GGUF; its server keeps a prompt's cache between turns by itself. */
export class WllamaEngine implements BenchEngine {
  private readonly urls: EngineUrls;
  private readonly lines: string[] = [];
  private library: typeof WllamaModule | undefined;
  private wllama: WllamaModule.Wllama | undefined;

  constructor(urls: EngineUrls) {
    this.urls = urls;
  }

  async load(): Promise<void> {
    const address = "/wllama/index.min.js";
    this.library = await import(/* @vite-ignore */ address);
    const note = (...words: unknown[]): void => {
      this.lines.push(words.join(" "));
    };
    this.wllama = new this.library!.Wllama(
      { default: `${location.origin}/wllama/wasm/wllama.wasm` },
      { logger: { debug: note, log: note, warn: note, error: note } },
    );
    await this.wllama.loadModelFromUrl(this.urls.model, { n_ctx: CONTEXT, n_parallel: 1 });
  }

  async backend(): Promise<string> {
    const threads = this.wllama!.getNumThreads();
    const many = this.wllama!.isMultithread() ? `${threads} threads` : "1 thread";
    // llama.cpp says where it puts its buffers; without shader-f16 its WebGPU backend steps aside.
    const gpu = this.lines.find((line) =>
      /WebGPU\S* model buffer size|offloaded [1-9]/i.test(line),
    );
    return gpu
      ? `llama.cpp WebGPU: ${gpu.trim()}`
      : `llama.cpp on the CPU (WebAssembly SIMD), ${many}`;
  }

  version(): string {
    return this.library!.Wllama.getLibllamaVersion();
  }

  async turn(request: TurnRequest): Promise<TurnResult> {
    if (request.budget !== "full") throw new Error("wllama has no cache budget");
    const start = performance.now();
    const times: number[] = [];
    let text = "";
    let usage: WllamaModule.RawCompletionChunk["usage"];
    const stream = await this.wllama!.createCompletion({
      prompt: request.prompt,
      max_tokens: request.tokens,
      temperature: 0,
      ignore_eos: true,
      stream: true,
    });
    for await (const chunk of stream) {
      const piece = chunk.choices[0]?.text ?? "";
      usage = chunk.usage ?? usage;
      if (piece === "") continue;
      text += piece;
      times.push(performance.now());
    }
    return {
      text,
      promptTokens: usage?.prompt_tokens ?? Number.NaN,
      completionTokens: usage?.completion_tokens ?? times.length,
      firstTokenMs: times[0]! - start,
      decodeMs: times.at(-1)! - times[0]!,
    };
  }

  async reset(): Promise<void> {}

  async counts() {
    return undefined;
  }

  wasmBytes(): number {
    return 0;
  }
}
