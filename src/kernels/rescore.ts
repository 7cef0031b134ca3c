import paging from "../../shaders/lib/paging.wgsl?raw";
import score from "../../shaders/lib/score.wgsl?raw";
import code from "../../shaders/rescore.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import { type Kernel, wgslConstants } from "../gpu/kernel.ts";
import { type CacheShape, PAGE_SLOTS } from "./cache-shape.ts";

/** Bindings: LayerShape, { lane, ... }, tables, lanes, filters [L, G, D], pages. Workgroups: (any, G). */
export function createRescore(gpu: GpuContext, shape: CacheShape): Promise<Kernel> {
  return gpu.kernel({
    label: "rescore",
    code: [wgslConstants({ HEAD_DIM: shape.headDim, PAGE_SLOTS }), paging, score, code],
    bindings: ["uniform", "uniform", "read", "read", "read", "write"],
  });
}
