import type { EngineCore } from "../../engine/core.ts";
import { createDeviceState, type DeviceState } from "../../engine/state.ts";
import type { AdapterKind } from "../../gpu/adapter-kind.ts";
import { openGpu } from "../../gpu/context.ts";

/** The model on a device, with the kernels of one kind of adapter. */
export interface PlanState {
  readonly kind: AdapterKind;
  readonly state: DeviceState;
  close(): void;
}

/** The engine's own state, or where `kind` is another a second one, on a device of its own: weights twice. */
export async function openPlan(core: EngineCore, kind: AdapterKind): Promise<PlanState> {
  if (core.state.gpu.kind === kind) return { kind, state: core.state, close: () => {} };
  const gpu = await openGpu(core.state.gpu.gpu, kind);
  try {
    const state = await createDeviceState(gpu, { ...core.model, tuning: "off", early: false });
    return { kind, state, close: () => gpu.destroy() };
  } catch (error) {
    gpu.destroy();
    throw error;
  }
}
