import { execFile, execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { type App, prepareApp } from "./harness/app.ts";
import { itInFull } from "./harness/full.ts";
import { host } from "./harness/host.ts";
import { type Packed, packWithTiny } from "./harness/package.ts";
import { OUTPUT, ROOT } from "./harness/paths.ts";
import { expectAnswers } from "./harness/visit.ts";

const exec = promisify(execFile);
let packed: Packed;
beforeAll(() => {
  packed = packWithTiny();
});

const jsonOf = (printed: string): unknown =>
  JSON.parse(printed.split("\n").findLast((line) => line.startsWith("{"))!);

describe("the packed package", () => {
  it("needs no other package to install, and carries no WebAssembly", async () => {
    const folder = join(OUTPUT, "installed");
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{ "private": true }');
    const flags = ["--offline", "--no-audit", "--no-fund"];
    execFileSync("npm", ["install", ...flags, packed.tarball], { cwd: folder, stdio: "pipe" });
    const { packages } = JSON.parse(
      readFileSync(join(folder, "node_modules/.package-lock.json"), "utf8"),
    ) as { packages: Record<string, unknown> };
    expect(Object.keys(packages)).toEqual(["node_modules/winnow-llm"]);
    const files = execFileSync("tar", ["-tzf", packed.tarball], { encoding: "utf8" });
    expect(files).not.toMatch(/\.wasm$|\.gguf$/m);
  });

  it("names only files that it holds, among them each that a page without a bundler may ask for", () => {
    const read = (path: string) => JSON.parse(readFileSync(join(packed.folder, path), "utf8"));
    const { exports, main, module, types, bin, typesVersions } = read("package.json");
    const named = [main, module, types, ...Object.values(bin), ...Object.values(typesVersions["*"])]
      .concat(Object.values(exports).flatMap((entry) => Object.values(entry as object)))
      .flat()
      .filter((path) => typeof path === "string" && path.startsWith("."));
    expect(named.length).toBeGreaterThan(5);
    for (const path of [
      ...named,
      ...read("dist/precache.json").map((name: string) => `dist/${name}`),
    ])
      expect(existsSync(join(packed.folder, path as string)), `${path}`).toBe(true);
    const listed = new Set<string>(read("dist/precache.json"));
    for (const name of listed) {
      const code = readFileSync(join(packed.folder, "dist", name), "utf8");
      for (const [, next] of code.matchAll(/(?:from|import)\s*\(?["'`]\.\/([^"'`]+\.js)["'`]/g))
        expect(listed.has(next!), `${name} imports ${next}`).toBe(true);
    }
  });

  it("dist/worker.js imports nothing: any bundler leaves it whole", () => {
    const code = readFileSync(join(packed.folder, "dist/worker.js"), "utf8");
    expect(code).not.toMatch(/\bimport\s*[({"'`]|\bfrom\s*["'`]\.{1,2}\//);
  });
});

describe("in Node", () => {
  let app: App;
  beforeAll(async () => {
    app = await prepareApp("node", packed);
  });
  const answer = async () =>
    jsonOf((await exec(process.execPath, ["answer.mjs", packed.model], { cwd: app.dir })).stdout);

  it("answers, and the browser's entry says which one is for Node", async () => {
    symlinkSync(join(ROOT, "node_modules/webgpu"), join(app.dir, "node_modules/webgpu"));
    try {
      expect(await answer()).toMatchObject({
        inPage: { code: "no_webgpu", hint: expect.stringContaining("winnow-llm/node") },
        inNode: { policy: "winnow", notices: [] },
        finishReason: { unified: expect.stringMatching(/^(stop|length)$/) },
        onServer: "unavailable",
      });
    } finally {
      rmSync(join(app.dir, "node_modules/webgpu"));
    }
  });

  it("can be required", async () => {
    const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
    if (major === 20 ? minor < 19 : major === 22 && minor < 12) return;
    const { stdout } = await exec(process.execPath, ["require.cjs"], { cwd: app.dir });
    expect(stdout.trim()).toBe("invalid_argument");
  });
});

it("without the package webgpu, winnow-llm/node says how to get it", async () => {
  // Outside this repository, whose own webgpu would be found.
  const folder = mkdtempSync(join(tmpdir(), "winnow-node-"));
  try {
    cpSync(packed.folder, join(folder, "node_modules/winnow-llm"), { recursive: true });
    writeFileSync(
      join(folder, "ask.mjs"),
      `import { createEngine } from "winnow-llm/node";
       createEngine({ model: "a.gguf" }).catch(({ code, message, hint }) => console.log(JSON.stringify({ code, message, hint })));`,
    );
    const { stdout } = await exec(process.execPath, ["ask.mjs"], { cwd: folder });
    expect(jsonOf(stdout)).toMatchObject({
      code: "no_webgpu",
      message: expect.stringContaining("not installed"),
      hint: expect.stringContaining("npm install webgpu"),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("types, with those of libraries checked too", () => {
  let app: App;
  beforeAll(async () => {
    app = await prepareApp("types", packed);
  });
  const KINDS = [
    ["ESNext", "bundler"],
    ["Node16", "node16"],
    ["ESNext", "node10"],
  ] as const;
  for (const version of ["5.0", "5.7", "6.0"])
    for (const [module, resolution] of KINDS) {
      if (version === "6.0" && resolution === "node10") continue;
      const everyRun = version === "5.0" || (version === "6.0" && resolution === "bundler");
      (everyRun ? it : itInFull)(`TypeScript ${version}, ${resolution}`, async () => {
        const tsc = join(app.dir, "node_modules", `typescript-${version}`, "bin/tsc");
        const options = `--noEmit --strict --skipLibCheck false --target ES2022 --lib ES2022,DOM --module ${module} --moduleResolution ${resolution}${version === "6.0" ? " --ignoreConfig" : ""}`;
        const run = exec(process.execPath, [tsc, ...options.split(" "), "use.ts"], {
          cwd: app.dir,
        });
        await run.catch(({ stdout }) => {
          throw new Error(stdout);
        });
      });
    }
});

itInFull("Deno answers", async () => {
  const app = await prepareApp("deno", packed);
  const manifest = join(app.dir, "package.json");
  const named = JSON.parse(readFileSync(manifest, "utf8"));
  named.dependencies["winnow-llm"] = "*";
  writeFileSync(manifest, JSON.stringify(named));
  const site = await host(app.dir, { files: { "/model.gguf": packed.model } });
  try {
    const printed = await app.run(
      "deno",
      "run",
      "-A",
      "--node-modules-dir=manual",
      "answer.mjs",
      site.url,
    );
    const { notices, ...answers } = jsonOf(printed) as Parameters<typeof expectAnswers>[0];
    // Deno has no storage for files of a page.
    expect(notices).toEqual([expect.stringContaining("in memory alone")]);
    expectAnswers({ ...answers, notices: [] });
  } finally {
    site.stop();
  }
});

it("types of the AI SDK and of OpenAI's package go with ours both ways, with those of libraries checked too", async () => {
  const app = await prepareApp("types-clients", packed);
  const options =
    "--noEmit --strict --skipLibCheck false --target ES2022 --lib ES2022,DOM --types node --module ESNext --moduleResolution bundler --ignoreConfig use.ts";
  const tsc = join(app.dir, "node_modules/typescript/bin/tsc");
  const run = exec(process.execPath, [tsc, ...options.split(" ")], { cwd: app.dir });
  await run.catch(({ stdout }) => {
    throw new Error(stdout);
  });
});
