import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright";
import { build, createServer, type InlineConfig } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHROMIUM_FLAGS, findChromium } from "../../src/node/chromium.ts";
import { serveStatic } from "../../src/node/static-server.ts";
import { tinyModel } from "../reference/tiny-model.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const npm = process.platform === "win32" ? "npm.cmd" : "npm";

interface AppResult {
  stages: string[];
  chunks: number;
  usage: { completion_tokens: number; prompt_tokens: number };
  streamed: string;
  whole: string;
  refused: string;
  cache: { budget: number; policy: string; pairsKept: number };
  memory: { weights: number; kv: number; activations: number; staging: number; total: number };
}

async function launch(args: string[]): Promise<Browser> {
  const executablePath = await findChromium();
  return chromium.launch({ args, ...(executablePath ? { executablePath } : {}) });
}

const resultOfPage = (): Promise<unknown> =>
  (globalThis as unknown as { result: Promise<unknown> }).result;

/** The package as users get it: packed, installed into another folder without a network, used. */
describe("the packed package in an app of its own", () => {
  const app = mkdtempSync(join(tmpdir(), "winnow-app-"));
  const config: InlineConfig = { root: app, configFile: false, logLevel: "error", base: "./" };
  let browser: Browser;

  beforeAll(async () => {
    cpSync(fileURLToPath(new URL("example-app", import.meta.url)), app, { recursive: true });
    const packed = execFileSync(
      npm,
      ["pack", "--ignore-scripts", "--json", "--pack-destination", app],
      {
        cwd: root,
        encoding: "utf8",
      },
    );
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
    cpSync(join(app, filename), join(app, "winnow-llm.tgz"));
    const offline = ["--offline", "--omit=optional", "--omit=peer", "--no-audit", "--no-fund"];
    execFileSync(npm, ["install", ...offline], { cwd: app, stdio: "pipe" });
    writeFileSync(join(app, "model.gguf"), tinyModel("f32"));
    browser = await launch(CHROMIUM_FLAGS);
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(app, { recursive: true, force: true });
  });

  async function open(url: string): Promise<AppResult> {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(error.message));
    await page.goto(url);
    const result = await page.evaluate(resultOfPage);
    await page.close();
    expect(problems).toEqual([]);
    expect(result).not.toHaveProperty("failed");
    return result as AppResult;
  }

  function check(result: AppResult): void {
    expect(result.stages).toEqual(expect.arrayContaining(["download", "upload", "ready"]));
    expect(result.usage.completion_tokens).toBe(24);
    expect(result.chunks).toBeGreaterThan(2);
    expect(result.streamed).not.toBe("");
    expect(result.whole).toBe(result.streamed);
    expect(result.refused).toBe("invalid_argument");
    expect(result.cache).toMatchObject({ budget: 48, policy: "k-norm" });
    const { weights, kv, activations, staging, total } = result.memory;
    expect(weights + kv + activations + staging).toBe(total);
  }

  it("has types that a strict app accepts, without WebGPU's own", () => {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    execFileSync(process.execPath, [tsc, "-p", app], { encoding: "utf8", stdio: "pipe" });
  });

  it("works in a production build by Vite, whose worker is a file of its own", async () => {
    await build({ ...config, build: { outDir: "site", emptyOutDir: true } });
    const server = await serveStatic(
      { "/": join(app, "site"), "/model.gguf": join(app, "model.gguf") },
      0,
    );
    try {
      check(await open(server.url));
    } finally {
      server.close();
    }
  });

  it("says what is missing where the browser has no WebGPU, before anything is fetched", async () => {
    const server = await serveStatic(
      { "/": join(app, "site"), "/model.gguf": join(app, "model.gguf") },
      0,
    );
    const plain = await launch(["--no-sandbox", "--disable-gpu", "--disable-features=WebGPU"]);
    try {
      const page = await plain.newPage();
      const fetched: string[] = [];
      page.on("request", (request) => fetched.push(new URL(request.url()).pathname));
      await page.goto(server.url);
      const result = await page.evaluate(resultOfPage);
      expect(result).toMatchObject({ code: expect.stringMatching(/^no_(webgpu|adapter)$/) });
      expect((result as { hint: string }).hint).not.toBe("");
      expect(fetched).not.toContain("/model.gguf");
    } finally {
      await plain.close();
      server.close();
    }
  });

  it("works with Vite's dev server", async () => {
    const server = await createServer({
      ...config,
      // Found on the first request otherwise, which reloads the page.
      optimizeDeps: { include: ["winnow-llm"] },
      server: { port: 0, hmr: false },
    });
    await server.listen();
    try {
      check(await open(server.resolvedUrls?.local[0] ?? ""));
    } finally {
      await server.close();
    }
  });

  it("needs no other package and carries no WebAssembly", () => {
    const manifest = JSON.parse(
      readFileSync(join(app, "node_modules/winnow-llm/package.json"), "utf8"),
    ) as { dependencies?: Record<string, string> };
    expect(manifest.dependencies ?? {}).toEqual({});
    const files = execFileSync("tar", ["-tzf", join(app, "winnow-llm.tgz")], { encoding: "utf8" });
    expect(files).toContain("package/dist/engine.worker.js");
    expect(files).toContain("package/dist/cli.js");
    expect(files).not.toMatch(/\.wasm$|\.gguf$/m);
  });
});
