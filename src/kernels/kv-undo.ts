/** Taking back what kv_write appended: kv_save notes it before, kv_restore puts it back. */
import restoreCode from "../../shaders/kv_restore.wgsl?raw";
import saveCode from "../../shaders/kv_save.wgsl?raw";
import paging from "../../shaders/lib/paging.wgsl?raw";
import slotWords from "../../shaders/lib/slot_words.wgsl?raw";
import victim from "../../shaders/lib/victim.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import { type BufferBinding, type Dispatch, type Kernel, wgslConstants } from "../gpu/kernel.ts";
import { isCpuAdapter } from "./adapter-kind.ts";
import { type CacheShape, PAGE_SLOTS } from "./cache-shape.ts";

/** Words of the uniform { lane, first row to take back, rows in the log, 0 }. */
export const TAKEN_WORDS = 4;

/** Bytes that one row's log takes for all layers and kv heads; a multiple of 256, so that it can be bound alone. */
export const logRowBytes = ({ layers, kvHeads, headDim }: CacheShape): number =>
  Math.ceil((4 * layers * kvHeads * (headDim + 3)) / 256) * 256;

/** Bindings: LayerShape, the row, pages, tables, lanes, the row's log. Workgroups: (G). */
export function createKvSave(
  gpu: GpuContext,
  { headDim }: CacheShape,
  { ring, workgroup = workgroupFor(gpu) }: { ring: boolean; workgroup?: number },
): Promise<Kernel> {
  return gpu.kernel({
    label: `kv_save${ring ? " ring" : ""}`,
    code: [
      wgslConstants({ HEAD_DIM: headDim, PAGE_SLOTS, WORKGROUP: workgroup, RING: ring }),
      paging,
      victim,
      slotWords,
      saveCode,
    ],
    bindings: ["uniform", "read", "read", "read", "read", "write"],
  });
}

export interface KvRestoreBuffers {
  /** Uniform LayerShape. */
  readonly shape: BufferBinding;
  /** Uniform of TAKEN_WORDS. */
  readonly taken: BufferBinding;
  readonly tables: BufferBinding;
  /** `logRowBytes` a row. */
  readonly log: BufferBinding;
  /** The layer's slab. */
  readonly pages: BufferBinding;
}

/** A dispatch for one layer; counts in the page tables are left to the host. */
export async function createKvRestore(
  gpu: GpuContext,
  shape: CacheShape,
): Promise<(buffers: KvRestoreBuffers) => Dispatch> {
  const kernel = await gpu.kernel({
    label: "kv_restore",
    code: [
      wgslConstants({
        HEAD_DIM: shape.headDim,
        PAGE_SLOTS,
        WORKGROUP: workgroupFor(gpu),
        LOG_STRIDE: logRowBytes(shape) / 4,
      }),
      paging,
      slotWords,
      restoreCode,
    ],
    bindings: ["uniform", "uniform", "read", "read", "write"],
  });
  return (b) => ({
    kernel,
    bindings: kernel.bind(b.shape, b.taken, b.tables, b.log, b.pages),
    workgroups: [shape.kvHeads],
  });
}

/** Barriers cost software adapters more than they save. */
const workgroupFor = (gpu: GpuContext): number => (isCpuAdapter(gpu.adapter.info) ? 4 : 64);
