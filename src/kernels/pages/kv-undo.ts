/** Taking back what kv_write appended: kv_save notes it before, kv_restore puts it back. */
import restoreCode from "../../../shaders/pages/kv_restore.wgsl";
import saveCode from "../../../shaders/pages/kv_save.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { BufferBinding, Dispatch, Kernel } from "../../gpu/kernel.ts";
import { shaderStruct } from "../../gpu/shader-struct.ts";
import type { CacheShape } from "./cache-shape.ts";
import { pageCode, pagedConstants } from "./page-code.ts";
import { remainderBytes, slotBytes } from "./page-format.ts";
import { headWorkgroup, victimCode } from "./victim.ts";

/** The uniform of kv_restore: the lane, the first row to take back, and the rows in the log. */
export const TAKEN = shaderStruct<"lane" | "first" | "rows">(restoreCode, "Taken");

/** Bytes that one row's log takes for all layers and kv heads; a multiple of 256, so that it can be bound alone. */
export const logRowBytes = (shape: CacheShape): number =>
  Math.ceil((shape.layers * shape.kvHeads * (4 + slotBytes(shape) + remainderBytes(shape))) / 256) *
  256;

/** `rows` is the row in question, `log` its part of the log. Workgroups: (G). */
export function createKvSave(
  gpu: GpuContext,
  shape: CacheShape,
  { ring, workgroup = headWorkgroup(gpu, !ring) }: { ring: boolean; workgroup?: number },
): Promise<Kernel> {
  return gpu.kernel({
    label: `kv_save${ring ? " ring" : ""}`,
    code: [
      pagedConstants(shape, { WORKGROUP: workgroup, RING: ring }),
      ...pageCode("pages", shape, "read words"),
      ...victimCode(workgroup),
      saveCode,
    ],
  });
}

export interface KvRestoreBuffers {
  /** Uniform LayerShape. */
  readonly shape: BufferBinding;
  /** Uniform TAKEN. */
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
      pagedConstants(shape, {
        WORKGROUP: headWorkgroup(gpu, false),
        LOG_STRIDE: logRowBytes(shape) / 4,
      }),
      ...pageCode("pages", shape, "write words"),
      restoreCode,
    ],
  });
  return (buffers) => kernel.dispatch(buffers, [shape.kvHeads]);
}
