import score from "../../shaders/lib/score.wgsl?raw";
import code from "../../shaders/rescore.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import type { Kernel } from "../gpu/kernel.ts";
import { pageCode, pagedCode } from "./page-code.ts";
import type { PageFormat } from "./page-format.ts";

/** Bindings: LayerShape, { lane, ... }, tables, lanes, filters [L, G, D], pages. Workgroups: (any, G). */
export function createRescore(gpu: GpuContext, format: PageFormat): Promise<Kernel> {
  return gpu.kernel({
    label: "rescore",
    code: [pagedCode(format), pageCode("pages", format, "read words"), score, code],
    bindings: ["uniform", "uniform", "read", "read", "read", "write"],
  });
}
