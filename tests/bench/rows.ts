import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright";
import { median } from "../../src/cli/bench/statistics.ts";
import { tensorByteLength } from "../../src/formats/ggml/ggml-types.ts";
import type * as Winnow from "../../src/index.ts";
import { serveStatic } from "../../src/node/static-server.ts";
import { chromiumOptions } from "../chromium.ts";
import {
  CHAT_TEMPLATE,
  TINY_VOCAB,
  type TinyShape,
  tinyGguf,
} from "../reference/tiny-model/tiny-model.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const USAGE = `usage: node tests/bench/rows.mjs [ROUNDS] [TOKENS] [WORDS]
  ROUNDS (15) of TOKENS (96) each, with rows from the browser's storage and with rows in the worker's memory, in turns;
  WORDS (32768): rows of the table, of 6,160 bytes each as in Gemma 4 E2B`;

/** E2B's layers, which of them are global or borrow, and the bytes of a table's row; the widths are a software adapter's. */
const SHAPE = {
  family: "gemma4",
  layers: 35,
  heads: 4,
  kvHeads: 1,
  headDim: 128,
  hidden: 256,
  mlp: 256,
  tied: true,
  ropeBase: 1_000_000,
  window: 512,
  layerwise: {
    headDim: 64,
    globals: [4, 9, 14, 19, 24, 29, 34],
    shared: 20,
    inputs: 256,
    cap: 30,
    table: "Q5_K",
  },
  types: {
    embed: "Q8_0",
    q: "Q4_0",
    k: "Q4_0",
    v: "Q4_0",
    o: "Q4_0",
    gate: "Q4_0",
    up: "Q4_0",
    down: "Q4_0",
    head: "Q8_0",
  },
} as const satisfies TinyShape;

/** The engine's worker in a browser that keeps nothing: its models stay in memory. */
const NO_STORAGE = `StorageManager.prototype.getDirectory = () =>
  Promise.reject(new DOMException("keeps nothing", "SecurityError"));`;

const PAGE = `<!doctype html><title>rows</title><script type="module">
  globalThis.winnow = await import("/winnow/index.js");
</script>`;

type Name = "storage" | "memory";
const NAMES: readonly Name[] = ["storage", "memory"];

interface Answer {
  text: string;
  /** From the first piece to the last, for each of the tokens between. */
  msPerToken: number;
}

declare global {
  var winnow: typeof Winnow;
  var rowEngines: Record<Name, Winnow.Engine>;
}

/** In the page. Both engines load the same address. */
async function open(
  model: string,
): Promise<Record<Name, Winnow.MemoryReport> & { stored: number }> {
  const load = (worker: string) =>
    globalThis.winnow.createEngine({
      model,
      worker: () => new Worker(worker, { type: "module" }),
      cache: { policy: "full" },
    });
  const storage = await load("/winnow/engine.worker.js");
  const memory = await load("/memory-worker.js");
  globalThis.rowEngines = { storage, memory };
  const folder = await navigator.storage.getDirectory();
  const models = await (await folder.getDirectoryHandle("winnow")).getDirectoryHandle("models");
  let stored = 0;
  for await (const handle of models.values())
    if (handle.kind === "file") stored += (await (handle as FileSystemFileHandle).getFile()).size;
  return { storage: await storage.memory(), memory: await memory.memory(), stored };
}

/** In the page. Draws nearly evenly from all words: nearly every token's row is a new one. */
async function decode({
  name,
  seed,
  tokens,
}: {
  name: Name;
  seed: number;
  tokens: number;
}): Promise<Answer> {
  const engine = globalThis.rowEngines[name];
  await engine.cache.reset();
  const stream = await engine.chat.completions.create({
    messages: [{ role: "user", content: "Hello" }],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: tokens,
    temperature: 2,
    seed,
  });
  const [text, times]: [string[], number[]] = [[], []];
  let count = 0;
  for await (const { choices, usage } of stream) {
    count = usage?.completion_tokens ?? count;
    const piece = choices[0]?.delta.content ?? "";
    if (piece === "") continue;
    text.push(piece);
    times.push(performance.now());
  }
  return { text: text.join(""), msPerToken: (times.at(-1)! - times[0]!) / (count - 1) };
}

/** In the page. Milliseconds of reads of one row each, as the engine reads them, all over the file. */
async function readRows({ bytes, reads }: { bytes: number; reads: number }): Promise<number[]> {
  const folder = await navigator.storage.getDirectory();
  const models = await (await folder.getDirectoryHandle("winnow")).getDirectoryHandle("models");
  const times: number[] = [];
  for await (const handle of models.values()) {
    if (!handle.name.endsWith(".gguf")) continue;
    const file = await (handle as FileSystemFileHandle).getFile();
    for (let i = 0; i < reads; i += 1) {
      const at = Math.floor(((i * 0.618034) % 1) * (file.size - bytes));
      const start = performance.now();
      await file.slice(at, at + bytes).arrayBuffer();
      times.push(performance.now() - start);
    }
  }
  return times;
}

/** The 95 % interval of a median, by ranks. */
function interval(values: readonly number[]): [number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.max(0, Math.floor((sorted.length - 1.96 * Math.sqrt(sorted.length)) / 2));
  return [sorted[rank]!, sorted[sorted.length - 1 - rank]!];
}

const told = (values: readonly number[], digits: number): string =>
  `${median(values).toFixed(digits)} (${interval(values)
    .map((value) => value.toFixed(digits))
    .join(" to ")})`;

const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Prints milliseconds of a token both ways and their ratio; exit code 1 above 1.05. */
export async function main([
  rounds = "15",
  tokens = "96",
  words = "32768",
]: readonly string[]): Promise<number> {
  if (rounds === "--help") {
    console.log(USAGE);
    return 0;
  }
  if (!existsSync(join(root, "dist/engine.worker.js")))
    throw new Error("dist/ is missing: run `npm run build` first");
  const folder = mkdtempSync(join(tmpdir(), "winnow-rows-"));
  const site = join(folder, "site");
  mkdirSync(site);
  const text = { template: CHAT_TEMPLATE, words: Number(words) };
  writeFileSync(join(site, "rows.gguf"), tinyGguf("rows", SHAPE, 4096, text));
  writeFileSync(join(site, "index.html"), PAGE);
  writeFileSync(join(site, "no-storage.js"), NO_STORAGE);
  writeFileSync(
    join(site, "memory-worker.js"),
    'import "/no-storage.js";\nimport "/winnow/engine.worker.js";\n',
  );
  const server = await serveStatic({ "/": site, "/winnow/": join(root, "dist") }, 0);
  // Storage of other contexts is memory.
  const context = await chromium.launchPersistentContext(
    join(folder, "profile"),
    await chromiumOptions(),
  );
  try {
    const page = await context.newPage();
    await page.goto(server.url);
    await page.waitForFunction(() => "winnow" in globalThis);
    const memory = await page.evaluate(open, `${server.url}rows.gguf`);
    const table = tensorByteLength(SHAPE.layerwise.table, [
      SHAPE.layers * SHAPE.layerwise.inputs,
      TINY_VOCAB + text.words,
    ]);
    if (memory.stored < table) throw new Error(`the storage has ${memory.stored} bytes alone`);
    console.log(
      `GPU: ${mega(memory.storage.total)}, of which weights ${mega(memory.storage.weights)}; with the table of ${mega(table)} ` +
        `it would be ${mega(memory.storage.total + table)}`,
    );
    const times: Record<Name, number[]> = { storage: [], memory: [] };
    for (let round = -1; round < Number(rounds); round += 1) {
      const order = round % 2 === 0 ? NAMES : [...NAMES].reverse();
      const answers = {} as Record<Name, Answer>;
      for (const name of order)
        answers[name] = await page.evaluate(decode, {
          name,
          seed: 100 + round,
          tokens: Number(tokens),
        });
      if (answers.storage.text !== answers.memory.text) throw new Error("the answers differ");
      // The first round compiles.
      if (round >= 0) for (const name of NAMES) times[name].push(answers[name].msPerToken);
      console.error(
        `round ${round}: ${NAMES.map((name) => `${name} ${answers[name].msPerToken.toFixed(2)} ms`).join(", ")}`,
      );
    }
    const reads = await page.evaluate(readRows, {
      bytes: table / (TINY_VOCAB + text.words),
      reads: 400,
    });
    console.log(`a row read from the storage alone: ${told(reads, 3)} ms`);
    for (const name of NAMES) console.log(`rows from ${name}: ${told(times[name], 2)} ms a token`);
    const ratios = times.storage.map((ms, i) => ms / times.memory[i]!);
    console.log(`storage / memory, round by round: ${told(ratios, 4)}`);
    return median(ratios) <= 1.05 ? 0 : 1;
  } finally {
    await context.close();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
