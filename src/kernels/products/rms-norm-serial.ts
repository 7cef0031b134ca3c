import code from "../../../shaders/products/rms_norm_serial.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { sharingOf } from "../quads.ts";
import { unroll } from "../unroll.ts";

/** Invocations per workgroup: a SIMD vector of SwiftShader. */
const GROUP = 4;

/** rms_norm for CPU adapters: what goes before its constants, what after its bindings, and rows per workgroup. */
export function serialNorm(gpu: GpuContext) {
  const { share, header, code: quad } = sharingOf(gpu);
  return {
    header,
    group: GROUP,
    code: [...quad, ...unroll(code, { r: share })],
    rows: GROUP / share,
  };
}
