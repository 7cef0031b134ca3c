import { resolveCacheSettings } from "../../cache/budget.ts";
import type { PolicyName } from "../../cache/policies/index.ts";
import { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { EngineCore } from "../../engine/core.ts";
import type { InferenceEngine } from "../../engine/engine.ts";
import type { DeviceState } from "../../engine/state.ts";
import { everyStep } from "../../engine/steps/step-needs.ts";
import type { AdapterKind } from "../../gpu/adapter-kind.ts";
import { type DecodeCost, decodeCost } from "./decode-cost.ts";
import { createGpuTimer, GpuTimer, type TimingMethod } from "./gpu-timer.ts";
import { openPlan } from "./plans.ts";
import { type PrefillCost, PromptCost } from "./prompt-cost.ts";
import { fmaDispatch } from "./roofline.ts";

export interface EvictionCost {
  policy: PolicyName;
  budget: number;
  decode: DecodeCost;
  prefill: PrefillCost[];
}

export interface EvictionReport {
  timing: TimingMethod;
  plans: { plan: AdapterKind; own: boolean; costs: EvictionCost[] }[];
}

export interface EvictionBenchOptions {
  /** Kernels of which kinds of adapter are timed, on this one. */
  plans: readonly AdapterKind[];
  runs: number;
  policies: readonly PolicyName[];
  budget: number;
  /** Lengths of prompts; decoding goes on after the longest. */
  prompts: readonly number[];
  report: (label: string, done: number, total: number) => void;
}

/** What eviction takes of decoding and of prompts: its kernels against the rest, on a model's own steps. */
export async function benchEviction(
  engine: InferenceEngine,
  options: EvictionBenchOptions,
): Promise<EvictionReport> {
  const core = engine.internals;
  const { gpu } = core.state;
  const timer = await createGpuTimer(gpu, 1, [(await fmaDispatch(gpu)).dispatch]);
  timer.dispose();
  const plans: EvictionReport["plans"] = [];
  for (const plan of options.plans) {
    const { state, close } = await openPlan(core, plan);
    try {
      const own = new GpuTimer(state.gpu, options.runs, timer.method === "timestamp");
      const costs = await measure(core, state, own, options);
      plans.push({ plan, own: plan === gpu.kind, costs });
      own.dispose();
    } finally {
      close();
    }
  }
  return { timing: timer.method, plans };
}

async function measure(
  core: EngineCore,
  state: DeviceState,
  timer: GpuTimer,
  { policies, budget, prompts, report }: EvictionBenchOptions,
): Promise<EvictionCost[]> {
  const costs: EvictionCost[] = [];
  const ordered = [...prompts].sort((a, b) => a - b);
  for (const asked of policies) {
    const request = core.withPolicy({ budget, policy: asked });
    const settings = resolveCacheSettings(request);
    const { policy } = settings;
    await state.runner.compiled({ ...everyStep(policy), folds: true });
    const prefill: PrefillCost[] = [];
    let decode: DecodeCost | undefined;
    for (const prompt of ordered) {
      report(`${policy}, ${prompt} tokens`, prefill.length, ordered.length);
      const sequence = new KvSequence(state.pool, settings);
      const cost = new PromptCost(core, state, timer, sequence, prompt);
      prefill.push(await cost.measure());
      if (prompt === ordered.at(-1))
        decode = await decodeCost(core, state, timer, sequence, budget, prompt);
      sequence.free();
    }
    costs.push({ policy, budget, decode: decode!, prefill });
  }
  return costs;
}
