import type { EvictionReport } from "../../../src/cli/bench/eviction-cost.ts";
import type { KernelReport } from "../../../src/cli/bench/kernel-bench.ts";
import { type Summary, summarize } from "../../../src/cli/bench/statistics.ts";
import type { BenchOptions, Budget, EngineName } from "./options.ts";

/** Changes when a field changes its meaning. */
export const SCHEMA = 2;

/** What is measured, its unit and which way is better. */
export const METRICS = {
  prefill: { unit: "tokens/s", better: "higher" },
  decode: { unit: "tokens/s", better: "higher" },
  time_to_first_token: { unit: "ms", better: "lower" },
  second_turn_first_token: { unit: "ms", better: "lower" },
  load: { unit: "ms", better: "lower" },
  load_to_first_token: { unit: "ms", better: "lower" },
  gpu_bytes: { unit: "bytes", better: "lower" },
  gpu_bytes_peak: { unit: "bytes", better: "lower" },
  heap_bytes: { unit: "bytes", better: "lower" },
  wasm_bytes: { unit: "bytes", better: "lower" },
  dispatches_per_token: { unit: "", better: "lower" },
  submits_per_token: { unit: "", better: "lower" },
  buffers_per_token: { unit: "", better: "lower" },
  bundle_bytes: { unit: "bytes", better: "lower" },
} as const;

export type Metric = keyof typeof METRICS;

export interface Key {
  engine: EngineName;
  metric: Metric;
  /** Tokens of the prompt asked for, where it matters. */
  length?: number;
  budget?: Budget;
}

export interface Result extends Key, Summary {
  unit: string;
  better: "higher" | "lower";
  samples: number[];
}

export interface EngineReport {
  status: "ran" | "skipped" | "failed";
  /** Why it was skipped, or what failed. */
  reason?: string;
  version?: string;
  /** What really computed. */
  backend?: string;
  /** Files of code that were loaded, gzipped. */
  files?: { path: string; bytes: number }[];
}

export interface Target {
  what: string;
  /** e.g. ">= 20" */
  wanted: string;
  value?: number;
  met: boolean | "not run";
}

export interface Report {
  schema: number;
  date: string;
  machine: { cpu: string; cores: number; platform: string; load: number[] };
  browser: string;
  options: BenchOptions;
  engines: Partial<Record<EngineName, EngineReport>>;
  results: Result[];
  notRun: { engine: EngineName; length?: number; budget?: Budget; reason: string }[];
  targets: Target[];
  /** What `winnow bench` printed. */
  kernels?: Partial<KernelReport> & {
    adapter: { description: string };
    eviction?: EvictionReport;
  };
}

export const keyText = ({ engine, metric, length, budget }: Key): string =>
  [
    engine,
    metric,
    length === undefined ? "" : `${length}`,
    budget === undefined ? "" : `budget ${budget}`,
  ]
    .filter(Boolean)
    .join(" ");

/** Collects samples under their keys. */
export class Samples {
  private readonly samples = new Map<string, { key: Key; values: number[] }>();

  add(key: Key, value: number | undefined): void {
    if (value === undefined || !Number.isFinite(value)) return;
    const text = keyText(key);
    const entry = this.samples.get(text) ?? { key, values: [] };
    entry.values.push(value);
    this.samples.set(text, entry);
  }

  results(): Result[] {
    return [...this.samples.values()].map(({ key, values }) => ({
      ...key,
      ...METRICS[key.metric],
      samples: values,
      ...summarize(values),
    }));
  }
}
