import { relative } from "node:path";
import type { BrowserContext } from "playwright";
import { EnginePage } from "./engine-page.ts";
import { type BenchOptions, type EngineName, runsTransformers } from "./options.ts";
import { type Plan, promptLength, type Task } from "./plan.ts";
import type { Prompts } from "./prompts.ts";
import { type EngineReport, type Report, Samples } from "./report.ts";
import { gzipBytes, type Site } from "./site.ts";

export interface BenchRun {
  context: BrowserContext;
  site: Site;
  prompts: Prompts;
  options: BenchOptions;
  plan: Plan;
  log: (line: string) => void;
}

/** Runs the plan and returns what it found; an engine that fails is left out from then on, and reported. */
export class Bench {
  readonly engines: Report["engines"] = {};
  readonly notRun: Report["notRun"] = [];
  readonly samples = new Samples();
  private readonly run: BenchRun;
  private readonly pages = new Map<EngineName, EnginePage>();
  private chats = 0;

  constructor(run: BenchRun) {
    this.run = run;
  }

  async all(): Promise<void> {
    const { options, plan, log } = this.run;
    for (const engine of options.engines) await this.open(engine);
    for (let repeat = 1; repeat <= options.repeats; repeat += 1) {
      for (const engine of options.engines)
        await this.guard(engine, () => this.loadAgain(engine, repeat));
      for (const task of plan.tasks) {
        if (!this.pages.has(task.engine)) continue;
        log(`repeat ${repeat}: ${task.engine} ${task.length} budget ${task.budget}`);
        await this.guard(task.engine, () => this.chat(task), task);
      }
    }
    for (const engine of options.engines) {
      await this.guard(engine, () => this.countCalls(engine));
      await this.guard(engine, () => this.finish(engine));
    }
  }

  /** The first load fills the browser's storage and does not count. */
  private async open(engine: EngineName): Promise<void> {
    const { options, log } = this.run;
    if (engine === "transformers.js" && !runsTransformers(options)) {
      const reason = `no ONNX in ${options.onnx}: make it with tests/bench/make-onnx.py`;
      log(`${engine}: skipped, ${reason}`);
      this.engines[engine] = { status: "skipped", reason };
      this.notRun.push({ engine, reason });
      return;
    }
    this.engines[engine] = { status: "ran" };
    log(`${engine}: first load`);
    await this.guard(engine, async () => {
      this.pages.set(engine, await EnginePage.open(this.run.context, this.run.site, engine));
    });
  }

  /** A new page that loads from the browser's storage, up to the first token of a short chat. */
  private async loadAgain(engine: EngineName, repeat: number): Promise<void> {
    const { context, site, prompts, log } = this.run;
    await this.pages.get(engine)!.close();
    const page = await EnginePage.open(context, site, engine);
    this.pages.set(engine, page);
    this.chats += 1;
    const turn = prompts.first(48, this.chats);
    const conversation = `load ${repeat}`;
    const { firstTokenMs } = await page.turn({ ...turn, conversation, tokens: 1, budget: "full" });
    this.samples.add({ engine, metric: "load" }, page.loadMs);
    this.samples.add({ engine, metric: "load_to_first_token" }, page.loadMs + firstTokenMs);
    log(`${engine}: loaded in ${seconds(page.loadMs)}, first token after ${seconds(firstTokenMs)}`);
    await page.reset();
  }

  private async chat(task: Task): Promise<void> {
    if (task.filled) return this.fill(task);
    const { engine, length, budget, tokens, prefill, decode } = task;
    const page = this.pages.get(engine)!;
    this.chats += 1;
    const conversation = `chat ${this.chats}`;
    const at = { engine, length, budget };
    const count = decode ? tokens : 1;
    // Each repeat has words of its own: nothing of it can be cached.
    const first = this.run.prompts.first(promptLength(length, tokens), this.chats);
    const one = await page.turn({ ...first, conversation, tokens: count, budget });
    if (prefill)
      this.samples.add({ ...at, metric: "prefill" }, (1000 * one.promptTokens) / one.firstTokenMs);
    this.samples.add({ ...at, metric: "time_to_first_token" }, one.firstTokenMs);
    if (decode) {
      this.addDecode(at, one);
      const next = this.run.prompts.next(first, one.text);
      const two = await page.turn({ ...next, conversation, tokens, budget });
      this.addDecode(at, two);
      this.samples.add({ ...at, metric: "second_turn_first_token" }, two.firstTokenMs);
    }
    const { firstTokenMs, decodeMs, completionTokens, promptTokens } = one;
    this.run.log(
      `  ${promptTokens} tokens, first after ${seconds(firstTokenMs)}` +
        (decode
          ? `, then ${(((completionTokens - 1) * 1000) / decodeMs).toFixed(2)} tokens/s`
          : ""),
    );
    await page.reset();
  }

  /** Decodes after a short prompt on a cache that was filled up to the task's length. */
  private async fill({ engine, length, budget, tokens }: Task): Promise<void> {
    const page = this.pages.get(engine)!;
    this.chats += 1;
    const turn = this.run.prompts.first(FILLED_PROMPT, this.chats);
    const filled = promptLength(length, tokens) - FILLED_PROMPT;
    const conversation = `filled ${this.chats}`;
    const one = await page.turn({ ...turn, conversation, tokens, budget, filled });
    this.addDecode({ engine, length, budget }, one);
    const rate = ((one.completionTokens - 1) * 1000) / one.decodeMs;
    this.run.log(`  on ${filled} made-up pairs per head: ${rate.toFixed(3)} tokens/s`);
    await page.reset();
  }

  private addDecode(
    at: { engine: EngineName; length: number; budget: number | "full" },
    { completionTokens, decodeMs }: { completionTokens: number; decodeMs: number },
  ): void {
    // An answer of one token says nothing about decoding.
    if (completionTokens < 2) return;
    this.samples.add({ ...at, metric: "decode" }, ((completionTokens - 1) * 1000) / decodeMs);
  }

  /**
   * Calls of WebGPU a token: those of two chats of one length, one answered with a single token, differ by what
   * the other tokens cost. The lengths are such that no cache page of 32 fills up in between.
   */
  private async countCalls(engine: EngineName): Promise<void> {
    const page = this.pages.get(engine)!;
    const spent = async (tokens: number) => {
      this.chats += 1;
      const turn = this.run.prompts.first(COUNTED_PROMPT, this.chats);
      const before = await page.counts();
      const conversation = `count ${tokens}`;
      const { completionTokens } = await page.turn({
        ...turn,
        conversation,
        tokens,
        budget: "full",
      });
      const after = await page.counts();
      await page.reset();
      return { before, after, completionTokens };
    };
    const one = await spent(1);
    const many = await spent(1 + COUNTED_TOKENS);
    if (!one.before || !one.after || !many.before || !many.after) return;
    for (const [metric, name] of COUNTED) {
      const difference =
        many.after[name] - many.before[name] - (one.after[name] - one.before[name]);
      const generated = many.completionTokens - one.completionTokens;
      this.samples.add({ engine, metric }, difference / generated);
    }
  }

  private async finish(engine: EngineName): Promise<void> {
    const page = this.pages.get(engine)!;
    const counts = await page.counts();
    const { heapBytes, wasmBytes } = await page.memory();
    this.samples.add({ engine, metric: "gpu_bytes" }, counts?.liveBytes);
    this.samples.add({ engine, metric: "gpu_bytes_peak" }, counts?.peakBytes);
    this.samples.add({ engine, metric: "heap_bytes" }, heapBytes);
    this.samples.add({ engine, metric: "wasm_bytes" }, wasmBytes || undefined);
    const files = page.files.map((path) => ({
      path: shortPath(path),
      bytes: gzipBytes(path),
    }));
    const bundle = files.reduce((sum, { bytes }) => sum + bytes, 0);
    this.samples.add({ engine, metric: "bundle_bytes" }, bundle);
    const [backend, version] = [await page.backend(), await page.version()];
    const report: EngineReport = { ...this.engines[engine]!, backend, version, files };
    this.engines[engine] = report;
    this.run.log(`${engine} ${version}: ${backend}`);
    await page.close();
  }

  /** An engine that throws is closed and reported; the others go on. */
  private async guard(engine: EngineName, work: () => Promise<void>, task?: Task): Promise<void> {
    if (this.engines[engine]?.status !== "ran") return;
    try {
      await work();
    } catch (error) {
      const reason = (error as Error).message.split("\n")[0]!;
      this.run.log(`${engine}: FAILED, ${reason}`);
      this.notRun.push({ engine, ...task, reason: `failed: ${reason}` });
      this.engines[engine] = { ...this.engines[engine], status: "failed", reason };
      await this.pages.get(engine)?.close();
      this.pages.delete(engine);
    }
  }
}

const FILLED_PROMPT = 48;
const COUNTED_PROMPT = 72;
const COUNTED_TOKENS = 8;
const COUNTED = [
  ["dispatches_per_token", "dispatches"],
  ["submits_per_token", "submits"],
  ["buffers_per_token", "buffersCreated"],
] as const;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** Below node_modules or dist. */
function shortPath(path: string): string {
  const at = Math.max(path.lastIndexOf("node_modules/"), path.lastIndexOf("dist/"));
  return at < 0
    ? relative(".", path)
    : path.slice(path.includes("node_modules/") ? path.lastIndexOf("node_modules/") + 13 : at);
}
