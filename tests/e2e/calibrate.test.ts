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
import { tinyModel } from "../reference/tiny-model.ts";
import { launchBrowser } from "./demo-harness.ts";

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
    writeFileSync(text, TEXT);
    const script =
      'import { createEngine } from "./dist/index.js"; globalThis.create = createEngine;';
    const html = `<!doctype html><title>calibrate</title><script type="module">${script}</script>`;
    writeFileSync(join(folder, "index.html"), html);
    server = await serveStatic(
      { "/": folder, "/dist/": join(root, "dist"), "/public/": join(root, "public") },
      0,
    );
    browser = await launchBrowser();
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
        const open = () => create({ model: `${url}tiny.gguf`, cache: { budget: 32 } });
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
});
