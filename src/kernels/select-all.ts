import eviction from "../../shaders/lib/eviction.wgsl?raw";
import code from "../../shaders/select_all.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import type { Select } from "./eviction.ts";
import { pagedCode } from "./page-code.ts";
import type { PageFormat } from "./page-format.ts";

/** Like `createEvictSelect`, for a chunk that fits beside what each kv head has: all of it stays. */
export async function createSelectAll(gpu: GpuContext, format: PageFormat): Promise<Select> {
  const kernel = await gpu.kernel({
    label: "select_all",
    code: [pagedCode(format), eviction, code],
    bindings: ["uniform", "uniform", "write", "write"],
  });
  return {
    dispatch: (b, kvHeads) => ({
      kernel,
      bindings: kernel.bind(b.shape, b.eviction, b.tables, b.moves),
      workgroups: [kvHeads],
    }),
  };
}
