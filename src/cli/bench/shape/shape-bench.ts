import { resolveCacheSettings } from "../../../cache/budget.ts";
import { KvSequence } from "../../../cache/sequence/kv-sequence.ts";
import type { EngineCore } from "../../../engine/core.ts";
import type { InferenceEngine } from "../../../engine/engine.ts";
import { everyStep } from "../../../engine/steps/step-needs.ts";
import { invalidArgument } from "../../../errors.ts";
import { createGpuTimer, type TimingMethod } from "../gpu-timer.ts";
import { fmaDispatch, measureRoofline, type Roofline, rooflineShare } from "../roofline.ts";
import type { Work } from "../work.ts";
import { DecodeSteps } from "./decode-steps.ts";
import { layerTypes } from "./layer-types.ts";
import type { PartFigure } from "./part-figures.ts";
import { PromptSteps } from "./prompt-steps.ts";
import type { ShapeConfig } from "./shapes.ts";
import type { ShapeModel } from "./step-parts.ts";

/** What a step or a prompt takes; `ms`, `work` and what follows from them are the whole model's. */
export interface ShapeFigure {
  /** Pairs per head, and the policy that keeps to them. */
  budget: number | "full";
  policy: string;
  ms: number;
  tokensPerS: number;
  /** Some layers were left out: `ms` counts each kind of layer as often as the whole model has it. */
  extrapolated: boolean;
  work: Work;
  gbPerS: number;
  gflops: number;
  /** Share of the roofline, 0 to 1. */
  share: number;
  boundBy: "arithmetic" | "memory";
  parts: PartFigure[];
}

export interface DecodeFigure extends ShapeFigure {
  /** Tokens seen before. */
  history: number;
}

export interface PromptFigure extends ShapeFigure {
  prompt: number;
  /** Milliseconds that the prompt took with the layers that are there, as a user waits. */
  wallMs: number;
}

export interface ShapeReport {
  timing: TimingMethod;
  roofline: Roofline;
  shape: {
    name: string;
    /** Layers of the whole model, and those that are there. */
    layers: number;
    kept: number;
    /** Bytes of the layers that are there, in Q4_K_M and on the GPU. */
    fileBytes: number;
    weightBytes: number;
  };
  decode: DecodeFigure[];
  prompts: PromptFigure[];
}

export interface ShapeBenchOptions {
  readonly name: string;
  /** Of the whole model, and of the one that is loaded. */
  readonly whole: ShapeConfig;
  readonly kept: ShapeConfig;
  /** Tokens seen before a token is decoded. */
  readonly histories: readonly number[];
  readonly prompts: readonly number[];
  /** Pairs per head of the runs under a budget. */
  readonly budget: number;
  readonly runs: number;
  readonly report: (label: string, done: number, total: number) => void;
}

/** Times tokens and prompts of a model of random weights, in parts of which the whole model is made. */
export async function benchShape(
  engine: InferenceEngine,
  options: ShapeBenchOptions,
): Promise<ShapeReport> {
  const core = engine.internals;
  const { histories, prompts, report, runs, name } = options;
  const { gpu } = core.state;
  checkLengths(core, options);
  const { gguf } = core.model;
  const [types, whole] = [options.kept, options.whole].map(layerTypes) as [string[], string[]];
  const model: ShapeModel = { config: core.config, gguf, types, whole };
  report("roofline", 0, 1);
  const timer = await createGpuTimer(gpu, runs, [(await fmaDispatch(gpu)).dispatch]);
  const roofline = await measureRoofline(gpu, timer);
  const figure = (parts: readonly PartFigure[], tokens: number) =>
    figureOf(parts, tokens, roofline);
  const decode: DecodeFigure[] = [];
  const budgets = [options.budget, "full"] as const;
  for (const history of histories)
    for (const budget of budgets) {
      report("tokens", decode.length, budgets.length * histories.length);
      const settings = resolveCacheSettings(core.withPolicy({ budget }));
      await core.state.runner.compiled(everyStep(settings.policy));
      const sequence = new KvSequence(core.state.pool, settings);
      const steps = new DecodeSteps(model, core.state, timer, sequence);
      const parts = await steps.measure(history);
      sequence.free();
      decode.push({ history, budget, policy: settings.policy, ...figure(parts, 1) });
    }
  const results: PromptFigure[] = [];
  const settings = resolveCacheSettings({ budget: "full", policy: "full" });
  for (const prompt of prompts) {
    report("prompts", results.length, prompts.length);
    const steps = new PromptSteps(model, core.state, timer, settings);
    const { parts, wallMs } = await steps.measure(prompt, runs);
    results.push({ prompt, budget: "full", policy: "full", wallMs, ...figure(parts, prompt) });
  }
  timer.dispose();
  return {
    timing: timer.method,
    roofline,
    shape: {
      name,
      layers: whole.length,
      kept: types.length,
      fileBytes: core.model.source.size,
      weightBytes: engine.memory().weights,
    },
    decode,
    prompts: results,
  };
}

/** Throws invalid_argument for what the model has no positions for. */
function checkLengths(
  { config: { contextLength } }: EngineCore,
  { histories, prompts }: ShapeBenchOptions,
): void {
  for (const [flag, lengths] of Object.entries({ histories, prompts })) {
    const beyond = lengths.find((length) => length >= contextLength);
    if (beyond !== undefined)
      throw invalidArgument(
        `--${flag}`,
        `${beyond} tokens are too many for the model's ${contextLength} positions`,
      );
  }
}

function figureOf(
  parts: readonly PartFigure[],
  tokens: number,
  roofline: Roofline,
): Omit<ShapeFigure, "budget" | "policy"> {
  const whole = (value: (part: PartFigure) => number): number =>
    parts.reduce((sum, part) => sum + (value(part) * part.of) / part.layers, 0);
  const ms = whole((part) => part.ms);
  const work = { bytes: whole((part) => part.work.bytes), flops: whole((part) => part.work.flops) };
  return {
    ms,
    tokensPerS: (1000 * tokens) / ms,
    extrapolated: parts.some(({ layers, of }) => layers !== of),
    work,
    gbPerS: work.bytes / ms / 1e6,
    gflops: work.flops / ms / 1e6,
    ...rooflineShare(work, ms, roofline),
    parts: [...parts],
  };
}
