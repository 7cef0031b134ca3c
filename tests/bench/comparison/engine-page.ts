import type { BrowserContext, Page } from "playwright";
import type { GpuCounts, TurnRequest, TurnResult } from "../page/bench-engine.ts";
import type { EngineName } from "./options.ts";
import type { Site } from "./site.ts";

const FILTERS = "/winnow/public/filters/smollm2-135m-instruct.safetensors";

/** An engine in a page of its own. */
export class EnginePage {
  readonly engine: EngineName;
  /** Milliseconds of `load`. */
  loadMs = 0;
  private readonly page: Page;
  private readonly fetched = new Set<string>();
  private readonly crashed: Promise<never>;

  static async open(context: BrowserContext, site: Site, engine: EngineName): Promise<EnginePage> {
    const page = await context.newPage();
    const self = new EnginePage(page, site, engine);
    await page.goto(site.server.url);
    await page.waitForFunction(() => "openBenchEngine" in globalThis);
    const urls = {
      model: `${site.server.url}model.gguf`,
      filters: new URL(FILTERS, site.server.url).href,
    };
    await page.evaluate(([name, where]) => openBenchEngine(name, where), [engine, urls] as const);
    self.loadMs = await self.race(
      page.evaluate(async () => {
        const start = performance.now();
        await benchEngine.load();
        return performance.now() - start;
      }),
    );
    return self;
  }

  private constructor(page: Page, site: Site, engine: EngineName) {
    this.page = page;
    this.engine = engine;
    page.on("request", (request) => {
      const file = site.codeFile(request.url());
      if (file) this.fetched.add(file);
    });
    page.on("pageerror", (error) => console.error(`${engine}: ${error.message}`));
    this.crashed = new Promise((_resolve, reject) => {
      page.on("crash", () => reject(new Error(`the page of ${engine} crashed`)));
    });
    this.crashed.catch(() => {});
  }

  /** Files of code that the page and its workers asked for. */
  get files(): string[] {
    return [...this.fetched];
  }

  turn(request: TurnRequest): Promise<TurnResult> {
    return this.race(this.page.evaluate((sent) => benchEngine.turn(sent), request));
  }

  reset(): Promise<void> {
    return this.race(this.page.evaluate(() => benchEngine.reset()));
  }

  counts(): Promise<GpuCounts | undefined> {
    return this.race(this.page.evaluate(() => benchEngine.counts()));
  }

  backend(): Promise<string> {
    return this.race(this.page.evaluate(() => benchEngine.backend()));
  }

  version(): Promise<string> {
    return this.race(this.page.evaluate(() => benchEngine.version()));
  }

  /** Bytes of JavaScript heaps (page and workers) and of WebAssembly memories, where they can be seen. */
  async memory(): Promise<{ heapBytes: number; wasmBytes: number }> {
    const page = await this.page.evaluate(heapBytes);
    const workers = await Promise.all(
      this.page.workers().map((worker) => worker.evaluate(heapBytes).catch(() => 0)),
    );
    const inWorkers = await Promise.all(
      this.page.workers().map((worker) => worker.evaluate(emscriptenBytes).catch(() => 0)),
    );
    const onPage = await this.page.evaluate(() => benchEngine.wasmBytes());
    const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
    return { heapBytes: page + sum(workers), wasmBytes: onPage + sum(inWorkers) };
  }

  close(): Promise<void> {
    return this.page.close();
  }

  private race<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.crashed]);
  }
}

/** Runs in a page or worker. Chromium's own figure, which other browsers lack. */
function heapBytes(): number {
  const { memory } = performance as Performance & { memory?: { usedJSHeapSize: number } };
  return memory?.usedJSHeapSize ?? 0;
}

/** Runs in a worker: the memory of an Emscripten program, which keeps a view of it in `Module`. */
function emscriptenBytes(): number {
  const { Module } = globalThis as { Module?: { HEAPU8?: Uint8Array } };
  return Module?.HEAPU8?.byteLength ?? 0;
}
