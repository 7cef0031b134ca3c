import type { EvictionReport } from "./eviction-cost.ts";
import type { TimingMethod } from "./gpu-timer.ts";
import type { KernelReport, KernelResult } from "./kernel-bench.ts";
import type { Roofline } from "./roofline.ts";

export const percent = (value: number | undefined): string =>
  value === undefined ? "-" : `${(100 * value).toFixed(1)} %`;

/** What the adapter can do, and how times were taken. */
export function rooflineLines(timing: TimingMethod, roofline: Roofline): string[] {
  const { flopsPerS, readBytesPerS, dispatchMs } = roofline;
  const giga = (value: number): string => (value / 1e9).toFixed(2);
  return [
    `roofline: ${giga(flopsPerS)} GFLOPS fma, reads ${giga(readBytesPerS.contiguous)} GB/s contiguous,` +
      ` ${giga(readBytesPerS.coalesced)} GB/s coalesced; no dispatch takes less than ${dispatchMs.toFixed(4)} ms`,
    `timing by ${timing}; medians`,
  ];
}

/** The roofline, then each plan's steps, kernel by kernel. */
export function kernelTable({ timing, roofline, plans }: KernelReport): string {
  return [
    ...rooflineLines(timing, roofline),
    ...plans.flatMap(({ plan, own, steps, layouts }) => [
      "",
      `kernels for a ${plan.toUpperCase()}${own ? "" : ", which this adapter is not"}`,
      ...steps.flatMap(({ name, ms, dispatches, dispatchesPerLayer, cacheOfStep, kernels }) => [
        "",
        `${name}: ${ms.median.toFixed(2)} ms, ${dispatches} dispatches, ${dispatchesPerLayer} a layer;` +
          ` cache writes and eviction at most ${percent(cacheOfStep)}`,
        HEADER,
        ...kernels.map((one) => line(one.name, one)),
      ]),
      ...(layouts.length > 0 ? ["", "gate and up by weight layout (one matrix)", HEADER] : []),
      ...layouts.map((one) => line(`${one.layout}, ${one.rows} rows`, one)),
    ]),
  ].join("\n");
}

const COLUMNS = [9, 7, 11, 9, 9, 13] as const;

const columns = (name: string, cells: readonly string[]): string =>
  `  ${name.padEnd(46)}${cells.map((cell, i) => cell.padStart(COLUMNS[i]!)).join("")}`;

const HEADER = columns("kernel", ["of step", "count", "ms each", "GFLOPS", "GB/s", "of roofline"]);

function line(name: string, { count, ms, gflops, gbPerS, share, ofStep }: KernelResult): string {
  const fixed = (value: number | undefined, digits: number): string =>
    value === undefined ? "-" : value.toFixed(digits);
  return columns(name, [
    percent(ofStep),
    String(count),
    ms.median.toFixed(4),
    fixed(gflops, 2),
    fixed(gbPerS, 2),
    percent(share),
  ]);
}

/** What eviction takes of decoding and of prompts. */
export function evictionTable({ timing, plans }: EvictionReport): string {
  const ms = (value: number): string => `${value.toFixed(3)} ms`;
  return [
    `eviction's cost, timing by ${timing}`,
    ...plans.flatMap(({ plan, own, costs }) => [
      "",
      `kernels for a ${plan.toUpperCase()}${own ? "" : ", which this adapter is not"}`,
      ...costs.flatMap(({ policy, budget, decode, prefill }) => [
        `  ${policy}, budget ${budget}, decoding after ${decode.history} tokens: ${percent(decode.share)} of` +
          ` ${ms(decode.stepMs)} a token (appends ${ms(decode.appendMs)}, without eviction` +
          ` ${ms(decode.plainAppendMs)}; scores ${ms(decode.scoreMs)} every ${decode.every})`,
        ...prefill.map(
          ({ prompt, restMs, share, kernels, wallMs }) =>
            `  ${policy}, budget ${budget}, a prompt of ${prompt}: ${percent(share)} beside ${ms(restMs)} (${Object.entries(
              kernels,
            )
              .map(([name, value]) => `${name} ${ms(value)}`)
              .join(", ")}); ${ms(wallMs)} as a user waits`,
        ),
      ]),
    ]),
  ].join("\n");
}
