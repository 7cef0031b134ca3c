import code from "../../shaders/kv_write.wgsl?raw";
import paging from "../../shaders/lib/paging.wgsl?raw";
import rope from "../../shaders/lib/rope.wgsl?raw";
import score from "../../shaders/lib/score.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import { type Kernel, wgslConstants } from "../gpu/kernel.ts";
import { isCpuAdapter } from "./adapter-kind.ts";
import { type CacheShape, PAGE_SLOTS } from "./cache-shape.ts";

/** `append` writes into the lane's pages, `chunk` into the prompt's scratch pages. */
export type KvWriteMode = "append" | "chunk";

/**
 * RoPE, key score and KV write in one kernel.
 * Bindings: LayerShape, rows, qkv [M, (H + 2G) D], pages, tables, lanes, filters [L, G, D], rope table.
 * Workgroups: (H + G, M).
 */
export function createKvWrite(
  gpu: GpuContext,
  shape: CacheShape,
  mode: KvWriteMode, // On a CPU adapter barriers and workgroup memory cost more than they save.
  workgroup = isCpuAdapter(gpu.adapter.info) ? 4 : 64,
): Promise<Kernel> {
  return gpu.kernel({
    label: `kv_write ${mode}`,
    code: [
      wgslConstants({
        HEAD_DIM: shape.headDim,
        PAGE_SLOTS,
        WORKGROUP: workgroup,
        APPEND: mode === "append",
      }),
      paging,
      rope,
      score,
      code,
    ],
    bindings: ["uniform", "read", "write", "write", "write", "read", "read", "read"],
  });
}
