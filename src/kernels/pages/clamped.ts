import code from "../../../shaders/pages/clamped.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { Kernel } from "../../gpu/kernel.ts";
import { pageCode, pagedConstants } from "./page-code.ts";
import type { PageFormat } from "./page-format.ts";

/**
 * Counts the keys and values of f16 pages that were cut to what f16 holds.
 * Workgroups: (any, G).
 */
export function createClamped(gpu: GpuContext, { headDim }: PageFormat): Promise<Kernel> {
  const format: PageFormat = { headDim, storage: "f16" };
  return gpu.kernel({
    label: "clamped",
    code: [pagedConstants(format), ...pageCode("pages", format), code],
  });
}
