import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

interface Run {
  status: number;
  stdout: string;
  stderr: string;
}

const winnow = (args: string[], env: NodeJS.ProcessEnv = process.env): Promise<Run> =>
  new Promise((resolve) => {
    execFile(process.execPath, [cli, ...args], { env }, (error, stdout, stderr) =>
      resolve({
        status: typeof error?.code === "number" ? error.code : error ? 1 : 0,
        stdout,
        stderr,
      }),
    );
  });

/** The built program on the tiny model, on Dawn and in Chromium. */
describe("dist/cli.js", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-cli-"));
  const model = join(folder, "tiny.gguf");
  const text = join(folder, "text.txt");
  beforeAll(() => {
    writeFileSync(model, tinyModel("f32"));
    writeFileSync(text, "The quick brown fox jumps over the lazy dog. ".repeat(40));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function json(...args: string[]): Promise<Record<string, unknown>> {
    const run = await winnow([...args, "--model", model, "--json"]);
    expect(run.status, run.stderr).toBe(0);
    expect(run.stdout.trimEnd().split("\n")).toHaveLength(1);
    return JSON.parse(run.stdout);
  }

  it("gives the same answer on both hosts", async () => {
    const args = ["generate", "--prompt", "abc", "--max-tokens", "8", "--policy", "k-norm"];
    const node = await json(...args);
    const chromium = await json(...args, "--host", "chromium");
    expect((node.tokens as number[]).length).toBeGreaterThan(0);
    expect(chromium.tokens).toEqual(node.tokens);
    expect(chromium).toMatchObject({ text: node.text, prompt_tokens: node.prompt_tokens });
    expect(chromium.adapter).toHaveProperty("vendor");
  });

  it.each([
    ["chromium", "node"],
    ["node", "chromium"],
  ])("goes on in another host from what one has saved: %s, then %s", async (saver, loader) => {
    const file = join(folder, `${saver}.winnow`);
    const args = ["generate", "--policy", "k-norm", "--budget", "24"];
    const prompt = ["--prompt", "a fox that ".repeat(20)];
    const whole = await json(...args, ...prompt, "--max-tokens", "16");
    const half = ["--max-tokens", "8"];
    const first = await json(...args, ...prompt, ...half, "--save", file, "--host", saver);
    const second = await json(...args, ...half, "--load", file, "--host", loader);
    expect([...(first.tokens as number[]), ...(second.tokens as number[])]).toEqual(whole.tokens);
    expect(second.usage).toMatchObject({
      prompt_tokens_details: { cached_tokens: second.prompt_tokens },
    });
    const damaged = await winnow([...args, "--load", text, "--model", model]);
    expect(damaged).toMatchObject({ status: 1, stdout: "" });
    expect(damaged.stderr).toMatch(/^winnow: .*text.txt: header length.* \(The file is damaged/m);
  });

  it("reads a document once, and answers questions about it from the file", async () => {
    const file = join(folder, "text.winnow");
    const args = ["--budget", "48", "--policy", "k-norm"];
    const made = await json("read", "--text", text, "--out", file, ...args);
    for (const question of ["What jumps?", "\n\nand 7?"]) {
      const chat = ["--chat", "--prompt", question, "--max-tokens", "4"];
      const { usage } = await json("generate", "--load", file, ...chat);
      expect(usage).toMatchObject({ prompt_tokens_details: { cached_tokens: made.tokens } });
    }
  });

  it.each([
    ["read", ["--text", text, "--out"]],
    ["generate", ["--prompt", "abc", "--save"]],
    ["calibrate", ["--text", text, "--out"]],
  ])("%s says before it begins that its result cannot be written", async (command, args) => {
    for (const path of [folder, join(text, "below.winnow")]) {
      const run = await winnow([command, ...args, path, "--model", model]);
      expect(run).toMatchObject({ status: 1, stdout: "" });
      expect(run.stderr).toMatch(/^winnow: --(out|save): .* could not be written/);
    }
  });

  it("scores a text by the decode path and in chunks alike, under no budget", async () => {
    const args = ["ppl", "--text", text, "--tokens", "40", "--offset", "3", "--budget", "full"];
    const one = await json(...args);
    const chunked = await json(...args, "--chunk", "16");
    const losses = one.nll as number[];
    expect(losses).toHaveLength(39);
    expect(one.ppl).toBeCloseTo(Math.exp(losses.reduce((sum, x) => sum + x, 0) / 39), 9);
    for (const [i, loss] of (chunked.nll as number[]).entries())
      expect(loss).toBeCloseTo(losses[i]!, 2);
  });

  it.each(["SIGINT", "SIGTERM"] as const)(
    "an evaluation ends at %s, also where only the process that was started is told",
    async (signal) => {
      const out = join(folder, signal);
      const long = join(folder, "long.txt");
      writeFileSync(long, "The quick brown fox jumps over the lazy dog. ".repeat(4000));
      const flags = ["--tasks", "ppl", "--policies", "k-norm", "--budgets", "32", "--fresh"];
      const size = ["--passages", "40", "--tokens", "400", "--lanes", "1"];
      const args = ["eval", ...flags, ...size, "--text", long, "--out", out, "--model", model];
      const child = spawn(process.execPath, [cli, ...args]);
      let said = "";
      child.stderr.on("data", (bytes) => {
        said += bytes;
      });
      const ended = once(child, "close");
      await vi.waitUntil(() => existsSync(join(out, "cells.jsonl")), 60_000);
      child.kill(signal);
      expect((await ended)[0]).toBe(1);
      expect(said).toMatch(/^winnow: stopped; [1-9]\d* cells of this run are kept in /m);
    },
  );

  it("calibrates, and takes the filters it made", async () => {
    const out = join(folder, "f.safetensors");
    const made = await json("calibrate", "--text", text, "--samples", "100", "--out", out);
    expect(made).toMatchObject({ layers: 2, kv_heads: 2, head_dim: 16 });
    const args = ["ppl", "--text", text, "--tokens", "40", "--budget", "16", "--window", "4"];
    const used = await json(...args, "--policy", "q-filters", "--filters", out);
    expect(used.cache).toMatchObject({ policy: "q-filters", budget: 16, window: 4, sinks: 4 });
    expect((used.cache as { pairsEvicted: number }).pairsEvicted).toBeGreaterThan(0);
  });

  it("refuses filters of another model in one line", async () => {
    const wrong = join(folder, "wrong.safetensors");
    writeFileSync(wrong, "not a safetensors file");
    const run = await winnow([
      "ppl",
      "--model",
      model,
      "--text",
      text,
      "--tokens",
      "9",
      "--filters",
      wrong,
    ]);
    expect(run).toMatchObject({ status: 1, stdout: "" });
    expect(run.stderr.trimEnd().split("\n").at(-1)).toMatch(/^winnow: .*filters/);
  });

  const logits = ["logits", "--tokens", "1,2,3", "--top", "2", "--json"];

  it("finds Chromium's SwiftShader by itself where no Vulkan driver is set, and says nothing of what drivers say", async () => {
    const {
      VK_ICD_FILENAMES: _icd,
      LD_LIBRARY_PATH: _libraries,
      XDG_RUNTIME_DIR: _folder,
      WAYLAND_DISPLAY: _display,
      ...env
    } = process.env;
    const run = await winnow([...logits, "--model", model], env);
    expect(run.status, run.stderr).toBe(0);
    expect(JSON.parse(run.stdout).top).toHaveLength(2);
    for (const line of run.stderr.trimEnd().split("\n"))
      expect(line).toMatch(/^(winnow: |(verify|upload|compile|ready|logits) \d+% )/);
    expect(run.stderr).toContain("logits 100% 3 / 3");
  });

  it("keeps to itself what native code writes to stderr, and shows it with --verbose", async () => {
    // The loader of Vulkan warns of a driver that is not there; Dawn passes it on.
    const { VK_ICD_FILENAMES = "" } = process.env;
    const env = { ...process.env, VK_ICD_FILENAMES: `/nonexistent.json:${VK_ICD_FILENAMES}` };
    const quiet = await winnow([...logits, "--model", model], env);
    const verbose = await winnow([...logits, "--model", model, "--verbose"], env);
    expect([quiet.status, verbose.status], verbose.stderr).toEqual([0, 0]);
    expect(verbose.stderr).toContain("/nonexistent.json");
    expect(quiet.stderr).not.toContain("/nonexistent.json");
  });

  it("says in one sentence that a calibration is missing, and what to do", async () => {
    const args = ["generate", "--prompt", "abc", "--max-tokens", "2", "--model", model];
    const { stderr } = await winnow(args);
    const said = stderr.split("\n").filter((line) => line.startsWith("winnow: "));
    expect(said).toEqual([
      expect.stringMatching(
        /^winnow: The policy winnow needs .*k-norm is used.*npx winnow-llm calibrate.*--filters\.$/,
      ),
    ]);
  });

  it("two processes at once fetch a model once, one waits for the other; a third fetches nothing", async () => {
    const bytes = tinyModel("f32");
    let whole = 0;
    const server = createServer(async (request, response) => {
      const asked = request.headers.range === "bytes=0-0";
      whole += Number(!asked);
      const range = asked ? { "content-range": `bytes 0-0/${bytes.length}` } : {};
      const body = asked ? bytes.subarray(0, 1) : bytes;
      response.writeHead(asked ? 206 : 200, {
        etag: '"v1"',
        "content-length": body.length,
        ...range,
      });
      response.write(body.subarray(0, body.length >> 1));
      if (!asked) await new Promise((resolve) => setTimeout(resolve, 1500));
      response.end(body.subarray(body.length >> 1));
    });
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    const url = `http://localhost:${(server.address() as AddressInfo).port}/tiny.gguf`;
    const cache = join(folder, "cache");
    const generate = () =>
      winnow(["generate", "--model", url, "--prompt", "abc", "--max-tokens", "2", "--json"], {
        ...process.env,
        WINNOW_CACHE: cache,
      });
    try {
      const runs = [...(await Promise.all([generate(), generate()])), await generate()];
      for (const { status, stderr } of runs) expect(status, stderr).toBe(0);
      expect(new Set(runs.map(({ stdout }) => JSON.parse(stdout).text)).size).toBe(1);
      expect(whole).toBe(1);
    } finally {
      server.close();
    }
  });
});
