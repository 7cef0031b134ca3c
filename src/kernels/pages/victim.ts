import code from "../../../shaders/pages/lib/victim.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { wgslConstants } from "../../gpu/kernel.ts";
import { unroll } from "../unroll.ts";

/** Invocations of a kernel that works on a head; barriers cost software adapters more than they save. */
export const headWorkgroup = ({ kind }: GpuContext, searches: boolean): number =>
  kind === "cpu" ? 4 : searches ? 256 : 64;

/** WGSL of `find_victim` in workgroups of so many invocations; a GPU's look at four slots each at once. */
export function victimCode(workgroup: number): string[] {
  const slots = workgroup >= 64 ? 4 : 1;
  return [wgslConstants({ SLOTS: slots }), ...unroll(code, { n: slots })];
}
