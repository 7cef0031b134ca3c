import type { InferenceEngine } from "../../../src/engine/engine.ts";
import type { Dispatch } from "../../../src/gpu/kernel.ts";
import { slotBytes } from "../../../src/kernels/pages/page-format.ts";
import { CHUNK_ROWS, LOGIT_ROWS } from "../../../src/model/buffers.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { watchDevices } from "../watch-devices.ts";

interface Binding {
  readonly buffer: GPUBuffer;
  readonly type: GPUBufferBindingType;
}

/** A GPU that remembers which buffers its bind groups have, and how kernels may touch them. */
export interface WatchedBindings {
  readonly gpu: GPU;
  bindingsOf(dispatch: Dispatch): readonly Binding[];
}

export function watchBindings(): WatchedBindings {
  const layouts = new Map<GPUBindGroupLayout, Map<number, GPUBufferBindingType>>();
  const groups = new Map<GPUBindGroup, Binding[]>();
  const watch = (device: GPUDevice): void => {
    const createLayout = device.createBindGroupLayout.bind(device);
    device.createBindGroupLayout = (descriptor) => {
      const layout = createLayout(descriptor);
      const types = [...descriptor.entries].map(
        ({ binding, buffer }) => [binding, buffer!.type!] as const,
      );
      layouts.set(layout, new Map(types));
      return layout;
    };
    const createGroup = device.createBindGroup.bind(device);
    device.createBindGroup = (descriptor) => {
      const group = createGroup(descriptor);
      const bindings = [...descriptor.entries].map(({ binding, resource }) => ({
        buffer: (resource as GPUBufferBinding).buffer,
        type: layouts.get(descriptor.layout)!.get(binding)!,
      }));
      groups.set(group, bindings);
      return group;
    };
  };
  return {
    gpu: watchDevices(sharedGpu, watch),
    bindingsOf: ({ bindings }) => groups.get(bindings)!,
  };
}

/**
 * Bytes that dispatches of a step of one row read and write: of every buffer that is bound its part for one row, read,
 * and where a kernel may write to it, written. Weights are read whole, but for the embedding's row; a state is read and
 * written; of pages the pairs are read that `history` tokens have left.
 */
export function bytesMoved(
  watched: WatchedBindings,
  engine: InferenceEngine,
  dispatches: readonly Dispatch[],
  history: number,
): number {
  const { pool, runner } = engine.internals.state;
  const { buffers } = runner.transformer;
  const activations = new Set<GPUBuffer>(Object.values(buffers));
  const slabs = new Map(pool.states?.slabs.map((slab, i) => [slab, pool.shape.stateWords![i]!]));
  const pairs = history * pool.shape.kvHeads * slotBytes(pool.shape);
  const touched = ({ buffer, type }: Binding, embeds: boolean): number => {
    const writes = type === "storage" ? 2 : 1;
    const words = slabs.get(buffer);
    if (words !== undefined) return writes * words * 4;
    // Appending looks at scores alone, and writes one pair.
    if (pool.slabs.includes(buffer)) return type === "storage" ? pairs / history : pairs;
    if (type === "uniform" || buffer === pool.tables || buffer === pool.lanes) return 0;
    if (buffer === buffers.logits) return (writes * buffer.size) / LOGIT_ROWS;
    // Of one row already.
    if (buffer === buffers.partials) return writes * buffer.size;
    if (!activations.has(buffer)) return embeds ? 0 : buffer.size;
    return (writes * buffer.size) / CHUNK_ROWS;
  };
  return dispatches.reduce((sum, dispatch) => {
    const embeds = dispatch.kernel.label.startsWith("embed");
    return watched
      .bindingsOf(dispatch)
      .reduce((all, binding) => all + touched(binding, embeds), sum);
  }, 0);
}
