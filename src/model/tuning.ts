import type { GpuContext } from "../gpu/context.ts";
import { type ProductPlan, productPlan } from "../kernels/products/product-plan.ts";

/**
 * off: kernels by the adapter's kind. fast: the largest product of a layer is timed, on GPUs the deepest too, within
 * 2 s. full: all products of a layer and all tile shapes, within 30 s.
 */
export type TuningMode = "off" | "fast" | "full";

export interface TuningReport {
  readonly mode: TuningMode;
  /** Where the plan comes from: the adapter's kind, measured now, or remembered from an earlier load. */
  readonly source: "adapter" | "measured" | "remembered";
  readonly plan: ProductPlan;
  /** What each variant took, and what was left out; empty where nothing was measured. */
  readonly timings: readonly { variant: string; ms: number }[];
  /** Seconds that it took, compilation included. */
  readonly seconds: number;
}

/** Keeps plans between loads. What cannot be read or written is measured anew. */
export interface TuningStore {
  read(key: string): Promise<string | undefined>;
  write(key: string, value: string): Promise<void>;
}

/** The adapter's default. */
export const untuned = (gpu: GpuContext): TuningReport => ({
  mode: "off",
  source: "adapter",
  plan: productPlan(gpu),
  timings: [],
  seconds: 0,
});
