import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

/** What a person starts by hand must start: no other test runs these scripts. */

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Scripts that say how they are used, once everything that they import is there. */
const WITH_HELP = [
  "demo/start.mjs",
  "tests/bench/bench.mjs",
  "tests/bench/constraint.mjs",
  "tests/bench/lanes.mjs",
  "tests/bench/messages.mjs",
  "tests/bench/on-a-gpu.mjs",
  "tests/bench/rows.mjs",
  "tests/bench/serve-soak.mjs",
  "tests/bench/soak.mjs",
  "tests/bench/tools.mjs",
  "tests/reference/measurements/prompts.mjs",
  "tests/reference/templates/compare.mjs",
  "tests/reference/tiny-model/write-tiny.mjs",
  "tests/run.mjs",
];
/** Scripts that a test below, the test of documents or a stage of `npm test` runs. */
const RUN_ELSEWHERE = [
  "demo/guide/pictures.mjs",
  "demo/guide/typedoc.config.mjs",
  "tests/size.mjs",
];

const FOLDERS = ["calibrate", "demo", "shaders", "src", "tests"];

const run = (script: string, ...args: string[]) =>
  spawnSync(process.execPath, [join(root, script), ...args], { encoding: "utf8", cwd: tmpdir() });

describe("scripts", () => {
  test.each(WITH_HELP)(
    "%s starts",
    (script) => {
      const { status, stdout, stderr } = run(script, "--help");
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toMatch(/usage: /i);
    },
    60_000,
  );

  test("npm run bench shows its plan", () => {
    const { status, stdout } = run("tests/bench/bench.mjs", "--plan");
    expect(status).toBe(0);
    expect(stdout).toMatch(/winnow/);
  }, 60_000);

  test("the guide's pictures are those that their script draws", () => {
    const folder = mkdtempSync(join(tmpdir(), "winnow-pictures-"));
    try {
      expect(run("demo/guide/pictures.mjs", folder).status).toBe(0);
      const drawn = readdirSync(folder);
      expect(drawn.length).toBeGreaterThan(0);
      for (const name of drawn)
        expect(readFileSync(join(folder, name), "utf8"), name).toBe(
          readFileSync(join(root, "demo/guide", name), "utf8"),
        );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("every script that its first line or a document says to start is among them", () => {
    const files = readdirSync(root, { withFileTypes: true }).flatMap((entry) =>
      FOLDERS.includes(entry.name)
        ? readdirSync(join(root, entry.name), { recursive: true, encoding: "utf8" })
            .map((name) => join(entry.name, name))
            .filter((path) => !/^tests\/(output|embed)\/|node_modules\//.test(path))
        : [entry.name],
    );
    const documents = files.filter((path) => path.endsWith(".md") || path === "package.json");
    const named = documents.flatMap((path) =>
      [...readFileSync(join(root, path), "utf8").matchAll(/\bnode ([\w./-]+\.mjs)/g)].map(
        ([, script]) => script!,
      ),
    );
    const started = files.filter(
      (path) =>
        path.endsWith(".mjs") && /^\/\/ (node |npm )/.test(readFileSync(join(root, path), "utf8")),
    );
    expect([...new Set([...named, ...started])].sort()).toEqual(
      [...WITH_HELP, ...RUN_ELSEWHERE].sort(),
    );
  });
});
