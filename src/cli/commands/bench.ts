import { invalidArgument } from "../../errors.ts";
import { benchKernels, type KernelReport, type KernelResult } from "../bench/kernel-bench.ts";
import type { Command } from "../command.ts";
import { isSet, optional, wholeNumber } from "../flags.ts";

interface Input {
  histories: number[];
  runs: number;
}

/** Times each kernel on this machine's adapter and says how near it comes to what the adapter can do. */
export const bench: Command<Input> = {
  name: "bench",
  summary: "time every kernel against a roofline measured in the same run",
  usage: "--kernels [--histories 512,2048] [--runs 5]",
  flags: { kernels: "boolean", histories: "string", runs: "string" },
  modelDefault: "smollm2-135m-instruct",
  read: async (flags) => {
    if (!isSet(flags, "kernels")) {
      throw invalidArgument(
        "--kernels",
        "is required: it is the only bench of this command",
        "`npm run bench` in the repository compares whole engines.",
      );
    }
    return {
      histories: readHistories(optional(flags, "histories") ?? "512,2048"),
      runs: wholeNumber(flags, "runs", { min: 1, max: 1000, fallback: 5 }),
    };
  },
  async run({ histories, runs }, { engine, report }) {
    if (Math.max(...histories) >= engine.contextLength) {
      throw invalidArgument(
        "--histories",
        `must stay below the model's ${engine.contextLength} positions`,
      );
    }
    const kernels = await benchKernels(engine, { histories, runs, report });
    const { adapter, model } = engine.info();
    return { json: { adapter, model, ...kernels }, text: table(kernels) };
  },
};

/** Budgets of 128 and more, so that a prompt chunk fits one. */
function readHistories(text: string): number[] {
  const histories = text.split(",").map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN));
  if (histories.some((value) => !(value >= 128 && value <= 1 << 20))) {
    throw invalidArgument(
      "--histories",
      `must be numbers of cache slots from 128 on, as in 512,2048, not "${text}"`,
    );
  }
  return histories;
}

function table({ timing, roofline, steps, layouts }: KernelReport): string {
  const { flopsPerS, readBytesPerS } = roofline;
  const giga = (value: number): string => (value / 1e9).toFixed(2);
  return [
    `roofline: ${giga(flopsPerS)} GFLOPS fma, reads ${giga(readBytesPerS.contiguous)} GB/s contiguous,` +
      ` ${giga(readBytesPerS.coalesced)} GB/s coalesced`,
    `timing by ${timing}; medians`,
    ...steps.flatMap(({ name, ms, dispatches, dispatchesPerLayer, cacheOfStep, kernels }) => [
      "",
      `${name}: ${ms.median.toFixed(2)} ms, ${dispatches} dispatches, ${dispatchesPerLayer} a layer;` +
        ` cache writes and eviction at most ${(100 * cacheOfStep).toFixed(1)} %`,
      HEADER,
      ...kernels.map((one) => line(one.name, one)),
    ]),
    "",
    "gate and up by weight layout (one matrix)",
    HEADER,
    ...layouts.map((one) => line(`${one.layout}, ${one.rows} rows`, one)),
  ].join("\n");
}

const COLUMNS = [9, 7, 11, 9, 9, 13] as const;

const columns = (name: string, cells: readonly string[]): string =>
  `  ${name.padEnd(46)}${cells.map((cell, i) => cell.padStart(COLUMNS[i]!)).join("")}`;

const HEADER = columns("kernel", ["of step", "count", "ms each", "GFLOPS", "GB/s", "of roofline"]);

function line(name: string, { count, ms, gflops, gbPerS, share, ofStep }: KernelResult): string {
  const fixed = (value: number | undefined, digits: number): string =>
    value === undefined ? "-" : value.toFixed(digits);
  const percent = (value: number | undefined): string =>
    value === undefined ? "-" : `${(100 * value).toFixed(1)} %`;
  return columns(name, [
    percent(ofStep),
    String(count),
    ms.median.toFixed(4),
    fixed(gflops, 2),
    fixed(gbPerS, 2),
    percent(share),
  ]);
}
