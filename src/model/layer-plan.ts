import type { Dispatch } from "../gpu/kernel.ts";
import type { WindowKernels } from "./cache-kernels.ts";
import type { LayerLinears } from "./layer-linears.ts";

/** What a layer's dispatches need besides its products. */
export interface LayerParts {
  readonly rope: GPUBuffer;
  readonly qkNorm: GPUBuffer | undefined;
  readonly kernels: WindowKernels;
}

/** A layer's dispatches in two parts. From `project` on, qkv holds the layer's rotated queries. */
export interface LayerPlan {
  /** Queries, keys and values, the latter written to where attention finds them. */
  readonly project: readonly Dispatch[];
  /** Attention and the rest of the layer. What takes a prompt block into the cache comes after it. */
  readonly attend: readonly Dispatch[];
}

/** What a kind of step hands in: how it writes keys and values, and how it attends to them. */
export interface LayerCache {
  readonly write: readonly Dispatch[];
  readonly attend: readonly Dispatch[];
}

/**
 * The schedule of one layer for `rows` rows, the same for every kind of step. `alike`: as in BoundLinear. `joined`: what
 * attends leaves its splits to the output product.
 */
export function layerPlan(
  linear: LayerLinears,
  rows: number,
  { write, attend }: LayerCache,
  { alike = false, joined = false } = {},
): LayerPlan {
  const output = (joined && linear.outputJoined) || linear.output;
  return {
    project: [...linear.qkv.dispatches(rows, alike), ...write],
    attend: [
      ...attend,
      ...output.dispatches(rows, alike),
      ...linear.gateUp.dispatches(rows, alike),
      ...linear.down.dispatches(rows, alike),
    ],
  };
}
