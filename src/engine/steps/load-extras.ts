import type { Constraint } from "../../constraint/constraint.ts";
import { loadLater } from "../../errors.ts";
import type { GpuContext } from "../../gpu/context.ts";
import type { Sample } from "../../kernels/sampling/sample.ts";
import type { AllowedTokens } from "./allowed-tokens.ts";
import type { MakeExtras } from "./draw-extras.ts";
import type { DrawWishes } from "./draw-wishes.ts";

/** Loads and compiles what is wanted around each draw; most answers want nothing. */
export async function loadExtras(
  gpu: GpuContext,
  vocabulary: number,
  wishes: DrawWishes,
): Promise<MakeExtras | undefined> {
  if (wishes.topLogprobs === undefined && !wishes.logitBias) return undefined;
  const load = () => import("./draw-extras.ts");
  const code = await loadLater("log probabilities and biases", load);
  const kernels = await code.extraKernels(gpu, vocabulary, wishes);
  return (buffers) => new code.DrawExtras(gpu, kernels, wishes, buffers);
}

/** Loads what holds an answer to its form, unless it is `known`, and the kernel for it. */
export async function loadAllowed(
  { masks }: Sample,
  constraint: Constraint,
  vocabulary: number,
  maxTokens: number,
  known: AllowedTokens | undefined,
): Promise<AllowedTokens> {
  const load = () => import("./allowed-tokens.ts");
  const [code] = await Promise.all([loadLater("constrained output", load), masks.made()]);
  return known ?? new code.AllowedTokens(constraint, vocabulary, maxTokens);
}
