/** Which kernels compute the weight products on a device: measured by src/model/tuning.ts, or by the adapter's kind. */
import type { GpuContext } from "../../gpu/context.ts";
import type { MatmulTile } from "./matmul.ts";
import type { StagedTile } from "./matmul-staged.ts";

/**
 * One row of x. split-k: K over the lanes of a workgroup, coalesced. rows: a run of rows of W per invocation, read front
 * to back.
 */
export type RowVariant = "split-k" | "rows";

/**
 * Many rows of x: by rows of x times rows of W, and invocations per workgroup. The tile is an invocation's, in registers
 * (shaders/products/matmul.wgsl), or, staged, a workgroup's (shaders/products/matmul_staged.wgsl).
 */
export const TILES = {
  "8x8/8": { m: 8, n: 8, group: 8, loop: "columns" },
  "8x8/32": { m: 8, n: 8, group: 32, loop: "columns" },
  "4x8/32": { m: 4, n: 8, group: 32, loop: "columns" },
  "4x4/64": { m: 4, n: 4, group: 64, loop: "columns" },
  "staged 16x32/256": { m: 16, n: 32, depth: 2, slices: 8 },
  "staged 32x32/256": { m: 32, n: 32, depth: 2, slices: 4 },
  "staged 32x32/64": { m: 32, n: 32, depth: 1, slices: 1 },
  "staged 64x64/256": { m: 64, n: 64, depth: 1, slices: 1 },
} as const satisfies Record<string, MatmulTile | StagedTile>;
export type TileVariant = keyof typeof TILES;

export interface ProductPlan {
  readonly row: RowVariant;
  readonly tile: TileVariant;
}

/**
 * A software adapter's plan was measured on SwiftShader; a GPU's is chosen by the counts in the shaders'
 * headers: 128 rows of a small model are few workgroups, so the smallest tile, which leaves no core idle.
 */
export const PLANS = {
  "row-tiles": { row: "rows", tile: "8x8/8" },
  "split-k": { row: "split-k", tile: "staged 16x32/256" },
} as const satisfies Record<string, ProductPlan>;

/** Plans by the kind of adapter that they are for. */
export type ProductShapeName = keyof typeof PLANS;

export const productShapeFor = ({ kind }: GpuContext): ProductShapeName =>
  kind === "cpu" ? "row-tiles" : "split-k";

/** How products are computed where nothing was measured. */
export const usualPlan = (gpu: GpuContext): ProductPlan => PLANS[productShapeFor(gpu)];
