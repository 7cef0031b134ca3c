import type { ModelConfig } from "./config.ts";

/** Most tokens that a draft step runs: the token drawn last and what is guessed to follow it. */
export const DRAFT_ROWS = 4;

/** Buffer offsets must be a multiple of this, by WebGPU's default limits. */
export const ROW_ALIGNMENT = 256;

/** Whether a model's rows can be bound one by one, as draft steps do; one whose layers differ reads them by other kernels. */
export const draftsPossible = ({
  heads,
  kvHeads,
  headDim,
  layerwise,
}: Pick<ModelConfig, "heads" | "kvHeads" | "headDim" | "layerwise">): boolean =>
  !layerwise && ((heads + 2 * kvHeads) * headDim * 4) % ROW_ALIGNMENT === 0;
