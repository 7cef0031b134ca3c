import code from "../../../shaders/pages/select_all.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { Select } from "./eviction.ts";
import { pagedConstants } from "./page-code.ts";
import type { PageFormat } from "./page-format.ts";

/** Like `createEvictSelect`, for a chunk that fits beside what each kv head has: all of it stays. */
export async function createSelectAll(gpu: GpuContext, format: PageFormat): Promise<Select> {
  const kernel = await gpu.kernel({
    label: "select_all",
    code: [pagedConstants(format), code],
  });
  return {
    dispatch: (buffers, kvHeads) => kernel.dispatch(buffers, [kvHeads]),
  };
}
