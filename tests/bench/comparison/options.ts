import { existsSync } from "node:fs";
import { parseArgs } from "node:util";

export const ENGINES = ["winnow", "transformers.js", "wllama"] as const;
export type EngineName = (typeof ENGINES)[number];
export type Budget = number | "full";

export interface BenchOptions {
  engines: EngineName[];
  /** Prompt lengths whose prefill is timed. */
  prefill: number[];
  /** Tokens of history at which decoding is timed. */
  histories: number[];
  /** Cache budgets of Winnow; the others keep everything. */
  budgets: Budget[];
  repeats: number;
  /** Tokens of an answer. */
  tokens: Record<EngineName, number>;
  /** Longest prompt an engine is given: a longer one is reported as not run. */
  upTo: Record<EngineName, number>;
  /** transformers.js decodes after longer histories that it has not read: made-up keys and values. */
  filled: boolean;
  /** A file; undefined: the default model, fetched where it is not there yet. */
  model?: string;
  onnx: string;
  /** Folder that receives report.json and report.html. */
  out: string;
  against?: string;
  /** Report of `winnow bench --kernels --json` to show beside. */
  kernels?: string;
  planOnly: boolean;
}

/** Whether transformers.js takes part: it is asked for, and its model is there. */
export const runsTransformers = ({ engines, onnx }: BenchOptions): boolean =>
  engines.includes("transformers.js") && existsSync(`${onnx}/onnx/model_q4.onnx`);

export const USAGE = `usage: npm run bench -- [options]
  --engines winnow,transformers.js,wllama
  --prefill 128,512          prompt lengths whose prefill is timed
  --histories 512            tokens of history at which decoding is timed
  --budgets full,512         cache budgets of Winnow (the others keep everything)
  --repeats 3
  --tokens 16                tokens of an answer; --tokens-transformers 5, since it takes seconds a token here
  --winnow-upto 8192 --transformers-upto 512 --wllama-upto 2048
                             longest prompt for an engine; longer ones are reported as not run
  --transformers-filled      after longer histories transformers.js decodes on a cache of made-up keys and values:
                             to read 8,192 tokens takes it an hour here
  --model FILE               in place of the default model, which is fetched once
  --onnx FOLDER              (tests/bench/make-onnx.py makes it)
  --out tests/output/bench   receives report.json and report.html
  --against FILE             an earlier report.json to compare with: regressions are printed
  --kernels FILE             output of \`winnow bench --kernels --json\` to show in the report
  --full                     prefill 128,512,2048, histories 64,512,2048,8192, no limits: hours on a software adapter
  --plan                     print the plan and stop`;

const NAMES = [
  "engines",
  "prefill",
  "histories",
  "budgets",
  "repeats",
  "tokens",
  "tokens-transformers",
  "winnow-upto",
  "transformers-upto",
  "wllama-upto",
  "model",
  "onnx",
  "out",
  "against",
  "kernels",
] as const;

/** Throws Error that names the option. */
export function parseOptions(args: readonly string[], root: string): BenchOptions {
  const strings = Object.fromEntries(NAMES.map((name) => [name, { type: "string" } as const]));
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...strings,
      full: { type: "boolean" },
      plan: { type: "boolean" },
      "transformers-filled": { type: "boolean" },
    },
    strict: true,
  }) as { values: Record<string, string | boolean | undefined> };
  const full = values.full === true;
  const text = (name: (typeof NAMES)[number], fallback: string): string =>
    (values[name] as string | undefined) ?? fallback;
  const whole = (name: (typeof NAMES)[number], fallback: number): number =>
    wholeNumber(name, text(name, String(fallback)));
  const wholes = (name: (typeof NAMES)[number], fallback: string): number[] =>
    text(name, fallback)
      .split(",")
      .filter(Boolean)
      .map((part) => wholeNumber(name, part));
  const most = 8192;
  const engines = text("engines", ENGINES.join(",")).split(",");
  for (const name of engines)
    if (!(ENGINES as readonly string[]).includes(name))
      throw new Error(`--engines: there is no "${name}", only ${ENGINES.join(", ")}`);
  const tokens = whole("tokens", 16);
  return {
    engines: engines as EngineName[],
    prefill: wholes("prefill", full ? "128,512,2048" : "128,512"),
    histories: wholes("histories", full ? "64,512,2048,8192" : "512"),
    budgets: text("budgets", "full,512")
      .split(",")
      .map((part) => (part === "full" ? part : wholeNumber("budgets", part))),
    repeats: whole("repeats", 3),
    tokens: {
      winnow: tokens,
      "transformers.js": whole("tokens-transformers", Math.min(tokens, 5)),
      wllama: tokens,
    },
    upTo: {
      winnow: whole("winnow-upto", most),
      "transformers.js": whole("transformers-upto", full ? most : 512),
      wllama: whole("wllama-upto", full ? most : 2048),
    },
    filled: values["transformers-filled"] === true,
    ...(typeof values.model === "string" ? { model: values.model } : {}),
    onnx: text("onnx", `${root}.cache/bench/onnx`),
    out: text("out", `${root}tests/output/bench`),
    ...(typeof values.against === "string" ? { against: values.against } : {}),
    ...(typeof values.kernels === "string" ? { kernels: values.kernels } : {}),
    planOnly: values.plan === true,
  };
}

function wholeNumber(name: string, text: string): number {
  if (/^\d+$/.test(text) && Number(text) > 0) return Number(text);
  throw new Error(`--${name}: must be whole numbers above 0, not "${text}"`);
}
