import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { winnow } from "./cli-harness.ts";

describe("the command line", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-cli-"));
  const model = join(folder, "tiny.gguf");
  beforeAll(() => writeFileSync(model, tinyModel("f32")));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("prints one JSON object with --json and nothing else", async () => {
    const { status, stdout } = await winnow(
      "tokenize",
      "--model",
      model,
      "--text",
      "abc",
      "--json",
    );
    expect(status).toBe(0);
    expect(stdout.trimEnd().split("\n")).toHaveLength(1);
    expect(Object.keys(JSON.parse(stdout))).toEqual(["tokens"]);
    expect(JSON.parse(stdout).tokens.length).toBeGreaterThan(0);
  });

  it("prints the same ids for people", async () => {
    const json = JSON.parse(
      (await winnow("tokenize", "--model", model, "--text", "abc", "--json")).stdout,
    );
    const { stdout } = await winnow("tokenize", "--model", model, "--text", "abc");
    expect(stdout).toBe(`${json.tokens.join(" ")}\n`);
  });

  it("lists commands and flags on stdout when asked for help", async () => {
    const help = await winnow("--help");
    expect(help.status).toBe(0);
    for (const name of ["generate", "logits", "ppl", "needle", "calibrate", "tokenize"]) {
      expect(help.stdout).toContain(`  ${name} `);
      const one = await winnow(name, "--help");
      expect(one).toMatchObject({ status: 0, stderr: "" });
      expect(one.stdout).toContain(`usage: npx winnow-llm ${name} [--model M]`);
    }
  });

  it("says how to use it, on stderr and with status 1, when no command is named", async () => {
    const run = await winnow();
    expect(run).toMatchObject({ status: 1, stdout: "" });
    expect(run.stderr).toContain("usage: npx winnow-llm COMMAND");
  });

  it("prints the package's version", async () => {
    expect((await winnow("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
