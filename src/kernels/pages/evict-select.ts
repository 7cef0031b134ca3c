import code from "../../../shaders/pages/evict_select.wgsl";
import type { AdapterKind } from "../../gpu/adapter-kind.ts";
import type { GpuContext } from "../../gpu/context.ts";
import type { Select } from "./eviction.ts";
import { pageCode, pagedConstants } from "./page-code.ts";
import { chunkFormat, type PageFormat } from "./page-format.ts";

/**
 * Keeps `capacity` of a kv head's cache slots and chunk rows: the protected ones (sinks, window), then
 * the highest scores; among equal scores the newest. All state is read on the GPU.
 */
export async function createEvictSelect(
  gpu: GpuContext,
  format: PageFormat,
  kind: AdapterKind = gpu.kind,
): Promise<Select> {
  const kernel = await gpu.kernel({
    label: "evict_select",
    code: [
      pagedConstants(format, { THREADS: kind === "cpu" ? 64 : 256 }),
      ...pageCode("pages", format),
      ...pageCode("chunk", chunkFormat(format)),
      code,
    ],
    stage: "eviction",
  });
  return {
    dispatch: (buffers, kvHeads) => kernel.dispatch(buffers, [kvHeads]),
  };
}
