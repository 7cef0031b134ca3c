import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cosines } from "../../calibrate/agreement.ts";
import { readCalibration } from "../../src/cache/filters-file.ts";
import type { createEngine } from "../../src/index.ts";
import { type StaticServer, serveStatic } from "../../src/node/static-server.ts";
import { launchChromium } from "../chromium.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const TEXT = "The quick brown fox jumps over the lazy dog. ".repeat(12);
const run = promisify(execFile);

/** The built library's worker in Chromium, on the tiny model, which comes without filters. */
describe("calibration in a page", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-calibrate-"));
  const model = join(folder, "tiny.gguf");
  const text = join(folder, "text.txt");
  let server: StaticServer;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    writeFileSync(model, tinyModel("f32"));
    writeFileSync(join(folder, "other.gguf"), tinyModel("qwen3"));
    writeFileSync(text, TEXT);
    const script =
      'import { createEngine } from "./dist/index.js"; globalThis.create = createEngine;';
    const html = `<!doctype html><title>calibrate</title><script type="module">${script}</script>`;
    writeFileSync(join(folder, "index.html"), html);
    server = await serveStatic(
      { "/": folder, "/dist/": join(root, "dist"), "/public/": join(root, "public") },
      0,
    );
    browser = await launchChromium();
    page = await browser.newPage();
    await page.goto(`${server.url}index.html`);
    await page.waitForFunction(() => "create" in globalThis);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("aborts, calibrates, keeps the result for the next engine, and equals the command line", async () => {
    const seen = await page.evaluate(
      async ({ url, text }) => {
        const { create } = globalThis as unknown as { create: typeof createEngine };
        const open = () =>
          create({ model: `${url}tiny.gguf`, cache: { budget: 32 }, calibrate: "off" });
        const first = await open();
        const before = first.cache.usage().policy;
        const control = new AbortController();
        const aborted = await first
          .calibrate({
            texts: [text],
            samples: 200,
            signal: control.signal,
            onProgress: () => control.abort(),
          })
          .then(
            () => "no",
            (error: { code: string }) => error.code,
          );
        const stages = new Set<string>();
        const made = await first.calibrate({
          texts: [text],
          samples: 200,
          onProgress: ({ stage }) => void stages.add(stage),
        });
        const after = first.cache.usage().policy;
        await first.close();
        const second = await open();
        const found = second.cache.usage().policy;
        await second.close();
        const { kept, samples, file } = made;
        return {
          before,
          aborted,
          stages: [...stages],
          after,
          found,
          kept,
          samples,
          file: [...file],
        };
      },
      { url: server.url, text: TEXT },
    );
    expect(seen).toMatchObject({
      before: "k-norm",
      aborted: "aborted",
      stages: ["queries", "filters", "install"],
      after: "winnow",
      found: "winnow",
      kept: true,
      samples: 200,
    });
    const out = join(folder, "cli.safetensors");
    const args = ["calibrate", "--model", model, "--text", text, "--samples", "200", "--out", out];
    await run(process.execPath, [join(root, "dist/cli.js"), ...args]);
    const inPage = readCalibration(Uint8Array.from(seen.file)).filters;
    const cli = readCalibration(new Uint8Array(readFileSync(out))).filters;
    expect(inPage.modelSha256).toBe(cli.modelSha256);
    expect(inPage.textsSha256).toEqual(cli.textsSha256);
    for (const cosine of cosines(inPage.values, cli.values, cli.headDim))
      expect(cosine).toBeGreaterThan(0.9999);
  });

  it("happens by itself once the engine is quiet, keeps the chat, and the next engine finds it", async () => {
    const seen = await page.evaluate(
      async ({ url }) => {
        const { create } = globalThis as unknown as { create: typeof createEngine };
        // Another model by its bytes: the one above has been calibrated.
        const bytes = await (await fetch(`${url}other.gguf`)).blob();
        const model = new File([bytes], "other.gguf");
        const open = async () => {
          const states: string[] = [];
          let over = () => {};
          const done = new Promise<void>((resolve) => {
            over = resolve;
          });
          const engine = await create({
            model,
            cache: { budget: 64 },
            onCalibration: ({ state }) => {
              if (states.at(-1) !== state) states.push(state);
              if (state === "done" || state === "failed" || state === "asking") over();
            },
          });
          return { engine, states, done };
        };
        const first = await open();
        const { engine } = first;
        const state = () => ({
          policy: engine.cache.usage().policy,
          lacks: engine.info().notices.filter((text) => text.includes("calibrate the model"))
            .length,
          tokensSeen: engine.cache.usage().tokensSeen,
        });
        const messages = [{ role: "user" as const, content: "hello" }];
        await engine.chat.completions.create({ messages, max_tokens: 2 });
        const before = state();
        await first.done;
        const after = state();
        await engine.chat.completions.create({ messages, max_tokens: 2 });
        const { tokensSeen } = state();
        await engine.close();
        const second = await open();
        const found = second.engine.cache.usage().policy;
        await new Promise((resolve) => setTimeout(resolve, 4000));
        const again = second.states;
        await second.engine.close();
        return { before, states: first.states, after, tokensSeen, found, again };
      },
      { url: server.url },
    );
    expect(seen.states).toEqual(["waiting", "running", "done"]);
    expect(seen.before).toMatchObject({ policy: "k-norm", lacks: 1 });
    expect(seen.after).toMatchObject({ policy: "winnow", lacks: 0 });
    // The chat is read again on its next turn, and ends where it would have ended.
    expect(seen.tokensSeen).toBe(seen.before.tokensSeen);
    expect(seen.found).toBe("winnow");
    expect(seen.again).toEqual([]);
  });
});
