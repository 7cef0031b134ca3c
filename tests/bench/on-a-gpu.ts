import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { prepareVulkan } from "../prepare-vulkan.ts";
import { defaultModel } from "./default-model.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const USAGE = `usage: node tests/bench/on-a-gpu.mjs [--out FILE.json] [--minutes 9] [--shapes A,B] [--layers N] [--runs 5]
  [--histories 512,8192] [--prompts 512,2048] [--lanes 1,4,16] [--tests WORD,...] [--model FILE.gguf]

Runs the kernel tests with every variant of GPUs, then times kernels, eviction, tokens and shapes, and writes one JSON.
What finds no time is named in it. Build before: npm run build`;

const SHAPES = "llama-3.2-1b,qwen3.5-0.8b,gemma-4-e2b,qwen3-0.6b,lfm2.5-1.2b,llama-3.2-3b";
/** Kept back of the time for what is written at the end. */
const END_MS = 5_000;

/** One of the runs: a program, and the file that has its result, if it is not what it prints. */
interface Step {
  readonly name: string;
  readonly args: readonly string[];
  /** Most seconds it may take; less where less is left. */
  readonly seconds: number;
  readonly file?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

interface Outcome {
  status: "ok" | "failed" | "out of time" | "not run";
  seconds: number;
  /** What it printed, or left in its file; also of one that failed. */
  result?: unknown;
  /** The end of what it said, where it failed. */
  said?: string;
}

/** Exit status 0 where every step that was run ended well. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      out: { type: "string", default: join(root, "tests/output/on-a-gpu.json") },
      minutes: { type: "string", default: "9" },
      shapes: { type: "string", default: SHAPES },
      layers: { type: "string" },
      runs: { type: "string", default: "5" },
      histories: { type: "string", default: "512,8192" },
      prompts: { type: "string", default: "512,2048" },
      tests: { type: "string", default: "" },
      lanes: { type: "string", default: "1,4,16" },
      model: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes: "${values.minutes}" is no number above 0`);
  if (!existsSync(join(root, "dist/cli.js")))
    throw new Error("dist/cli.js is missing: npm run build");
  const end = Date.now() + minutes * 60_000;
  const adapter = prepareVulkan(process.env.CHROMIUM_PATH ?? "");
  console.error(`adapter: ${adapter}`);
  const model = values.model ? resolve(values.model) : await defaultModel(root);
  const out = resolve(values.out);
  mkdirSync(dirname(out), { recursive: true });
  const { runs, histories, prompts, layers } = values;
  const winnow = (command: string, ...flags: string[]) => [
    join(root, "dist/cli.js"),
    command,
    "--json",
    ...flags,
  ];
  const shape = (name: string): Step => ({
    name: `shape ${name}`,
    args: winnow(
      ...(["bench", "--shape", name, "--histories", histories, "--prompts", prompts] as const),
      ...["--runs", runs, ...(layers ? ["--layers", layers] : [])],
    ),
    seconds: 90,
  });
  const words = values.tests.split(",").filter(Boolean);
  const report = join(dirname(out), "on-a-gpu-kernels.json");
  const steps: Step[] = [
    {
      name: "kernel tests",
      args: [
        join(root, "node_modules/vitest/vitest.mjs"),
        ...["run", "--root", root, "--project", "kernels"],
        ...["--reporter=json", `--outputFile=${report}`, ...words],
      ],
      seconds: 200,
      file: report,
      environment: { WINNOW_FULL: "1", WINNOW_MODEL: model },
    },
    {
      name: "kernels and eviction",
      args: winnow(
        ...(["bench", "--model", model, "--kernels", "--eviction", "--runs", runs] as const),
      ),
      seconds: 120,
    },
    {
      name: "tokens",
      args: [join(root, "tests/bench/lanes.mjs"), model, values.lanes, "16", "3"],
      seconds: 60,
    },
    ...values.shapes.split(",").filter(Boolean).map(shape),
  ];
  const outcomes: Record<string, Outcome> = {};
  const began = new Date().toISOString();
  for (const step of steps) {
    outcomes[step.name] = await run(step, end - END_MS - Date.now());
    const { status, seconds } = outcomes[step.name]!;
    console.error(`${step.name}: ${status}, ${seconds} s`);
    // Written each time, so that what was measured outlives what comes.
    const machine = { adapter, processors: cpus().length, node: process.version };
    writeFileSync(out, `${JSON.stringify({ began, machine, options: values, steps: outcomes })}\n`);
  }
  console.log(out);
  return Object.values(outcomes).some(({ status }) => status === "failed") ? 1 : 0;
}

async function run({ args, seconds, file, environment }: Step, left: number): Promise<Outcome> {
  const most = Math.min(seconds * 1000, left);
  if (most < 5_000) return { status: "not run", seconds: 0 };
  if (file) rmSync(file, { force: true });
  const began = Date.now();
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, which ends whole: commands start processes.
    detached: true,
  });
  const [printed, said]: Buffer[][] = [[], []];
  child.stdout.on("data", (data) => printed!.push(data));
  child.stderr.on("data", (data) => said!.push(data));
  const { status, late } = await ended(child, most);
  const text =
    file && existsSync(file) ? readFileSync(file, "utf8") : String(Buffer.concat(printed!));
  const outcome: Outcome = {
    status: late ? "out of time" : status === 0 ? "ok" : "failed",
    seconds: Math.round((Date.now() - began) / 1000),
  };
  if (text !== "") outcome.result = parsed(text);
  if (outcome.status !== "ok") outcome.said = String(Buffer.concat(said!)).slice(-4000);
  return outcome;
}

function ended(child: ChildProcess, most: number): Promise<{ status: number; late: boolean }> {
  return new Promise((done) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      process.kill(-child.pid!, "SIGKILL");
    }, most);
    child.on("close", (status) => {
      clearTimeout(timer);
      done({ status: status ?? 1, late });
    });
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
