import code from "../../shaders/evict_select.wgsl?raw";
import eviction from "../../shaders/lib/eviction.wgsl?raw";
import ordered from "../../shaders/lib/ordered.wgsl?raw";
import type { AdapterKind } from "../gpu/adapter-kind.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { Select } from "./eviction.ts";
import { pageCode, pagedCode } from "./page-code.ts";
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
      pagedCode(format, { THREADS: kind === "cpu" ? 64 : 256 }),
      pageCode("pages", format),
      pageCode("chunk", chunkFormat(format)),
      eviction,
      ordered,
      code,
    ],
    bindings: ["uniform", "uniform", "read", "read", "write", "read", "write"],
    stage: "eviction",
  });
  return {
    dispatch: (b, kvHeads) => ({
      kernel,
      bindings: kernel.bind(b.shape, b.eviction, b.pages, b.chunk, b.tables, b.lanes, b.moves),
      workgroups: [kvHeads],
    }),
  };
}
