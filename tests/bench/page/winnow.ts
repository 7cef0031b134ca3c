import type * as Winnow from "../../../src/index.ts";
import type { BenchEngine, EngineUrls, TurnRequest, TurnResult } from "./bench-engine.ts";
import { askCounts } from "./count-webgpu.ts";

/** The built package, in its worker. */
export class WinnowEngine implements BenchEngine {
  private readonly urls: EngineUrls;
  private engine: Winnow.Engine | undefined;
  private readonly conversations = new Set<string>();

  constructor(urls: EngineUrls) {
    this.urls = urls;
  }

  async load(): Promise<void> {
    const address = "/winnow/dist/index.js";
    const { createEngine }: typeof Winnow = await import(/* @vite-ignore */ address);
    const { model, filters } = this.urls;
    this.engine = await createEngine({ model, filters });
  }

  async backend(): Promise<string> {
    const { adapter, kernels, notices } = this.open.info();
    const { vendor, architecture, description } = adapter;
    const notes = notices.length > 0 ? `; ${notices.join("; ")}` : "";
    return `WebGPU on ${[vendor, architecture, description].filter(Boolean).join(" ")} (${Object.values(kernels)[0]})${notes}`;
  }

  version(): string {
    return "this tree";
  }

  async turn({ conversation, messages, tokens, budget }: TurnRequest): Promise<TurnResult> {
    if (!this.conversations.has(conversation)) {
      this.conversations.add(conversation);
      await this.open.cache.configure({ budget }, { conversation });
    }
    const start = performance.now();
    const stream = await this.open.chat.completions.create(
      { messages, stream: true, max_tokens: tokens, temperature: 0 },
      { conversation },
    );
    let text = "";
    let first = 0;
    let last = 0;
    let usage: Winnow.Usage | undefined;
    for await (const chunk of stream) {
      const piece = chunk.choices[0].delta.content ?? "";
      usage = chunk.usage ?? usage;
      if (piece === "") continue;
      text += piece;
      last = performance.now();
      first ||= last;
    }
    return {
      text,
      promptTokens: usage!.prompt_tokens,
      completionTokens: usage!.completion_tokens,
      firstTokenMs: first - start,
      decodeMs: last - first,
    };
  }

  async reset(): Promise<void> {
    for (const conversation of this.conversations) await this.open.cache.reset({ conversation });
    this.conversations.clear();
  }

  counts = askCounts;

  wasmBytes(): number {
    return 0;
  }

  private get open(): Winnow.Engine {
    if (!this.engine) throw new Error("Winnow is not loaded");
    return this.engine;
  }
}
