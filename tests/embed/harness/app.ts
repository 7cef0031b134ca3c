import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Packed } from "./package.ts";
import { APPS, OUTPUT } from "./paths.ts";

const exec = promisify(execFile);

/** An app of its own in tests/output/embed, with its packages installed and winnow-llm among them. */
export interface App {
  dir: string;
  packed: Packed;
  /** Runs one of its programs to the end; what it prints. Throws with all of it where it fails. */
  run(program: string, ...args: string[]): Promise<string>;
  /** Starts one that serves, until `stop`. `PORT` in the arguments is a free port. Resolves when it answers. */
  serve(
    program: string,
    ...args: string[]
  ): Promise<{ url: string; stop(): void; printed(): string }>;
}

/** What tools leave behind of an earlier winnow-llm. */
const LEFT_BEHIND = [
  "node_modules/.vite",
  "node_modules/.cache",
  ".next",
  ".parcel-cache",
  "dist",
  "site",
  ".svelte-kit",
  ".astro",
  ".nuxt",
  ".output",
  ".angular",
];

export async function prepareApp(name: string, packed: Packed): Promise<App> {
  const source = join(APPS, name);
  const dir = join(OUTPUT, name);
  const manifest = readFileSync(join(source, "package.json"), "utf8");
  const hash = createHash("sha256").update(manifest).digest("hex");
  const stamp = join(dir, ".installed");
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== hash) {
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "package.json"), manifest);
    if (/ependencies"/.test(manifest))
      await exec(
        "npm",
        ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"],
        { cwd: dir },
      );
    writeFileSync(stamp, hash);
  }
  for (const entry of readdirSync(dir))
    if (!["node_modules", ".installed"].includes(entry))
      rmSync(join(dir, entry), { recursive: true, force: true });
  for (const path of LEFT_BEHIND) rmSync(join(dir, path), { recursive: true, force: true });
  cpSync(join(APPS, "shared"), dir, { recursive: true });
  cpSync(source, dir, { recursive: true });
  // Workers and extensions have no import maps.
  const run = readFileSync(join(dir, "run.js"), "utf8");
  const path = '"./node_modules/winnow-llm/dist/index.js"';
  writeFileSync(join(dir, "by-path.js"), run.replace('"winnow-llm"', path));
  const installed = join(dir, "node_modules/winnow-llm");
  rmSync(installed, { recursive: true, force: true });
  cpSync(packed.folder, installed, { recursive: true });

  const program = (name: string): string => join(dir, "node_modules/.bin", name);
  const env = {
    ...process.env,
    NODE_ENV: undefined,
    VITEST: undefined,
    TEST: undefined,
    CI: "1",
    NEXT_TELEMETRY_DISABLED: "1",
  };
  return {
    dir,
    packed,
    async run(name, ...args) {
      try {
        const { stdout, stderr } = await exec(program(name), args, {
          cwd: dir,
          env,
          maxBuffer: 1 << 26,
        });
        return stdout + stderr;
      } catch (error) {
        const { stdout, stderr } = error as { stdout: string; stderr: string };
        throw new Error(`${name} ${args.join(" ")}\n${stdout}\n${stderr}`);
      }
    },
    async serve(name, ...args) {
      const port = await freePort();
      const given = args.map((arg) => arg.replace("PORT", `${port}`));
      // A group of its own: what it starts in turn ends with it.
      const child = spawn(program(name), given, { cwd: dir, env, detached: true });
      let printed = "";
      child.stdout.on("data", (data) => (printed += data));
      child.stderr.on("data", (data) => (printed += data));
      const url = `http://localhost:${port}/`;
      const stop = (): void =>
        void (child.pid && child.exitCode === null && process.kill(-child.pid));
      await answers(url, child, () => printed).catch((error) => {
        stop();
        throw error;
      });
      return { url, stop, printed: () => printed };
    },
  };
}

async function answers(url: string, child: ChildProcess, printed: () => string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (child.exitCode !== null) throw new Error(`the server ended: ${printed()}`);
    const ok = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${url} does not answer: ${printed()}`);
}

export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
