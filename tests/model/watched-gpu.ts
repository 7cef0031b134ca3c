import { sharedGpu } from "../shared-gpu.ts";

/** A GPU whose devices tell which buffers are alive: counted where they are made, not by our ledger. */
export interface WatchedGpu {
  gpu: GPU;
  /** Bytes of the buffers made and not destroyed. */
  bytes(): number;
  /** Buffers made so far. */
  made(): number;
  /** Buffers that are not destroyed, and bind groups that the garbage collector has not found. */
  alive(): { buffers: number; bindGroups: number };
  /** The device opened last. */
  device(): GPUDevice;
  /** Devices opened so far. */
  devices(): number;
}

/** `real` is held: in Node, Dawn crashes once it is collected. */
export function watchedGpu(real: GPU = sharedGpu): WatchedGpu {
  const alive = new Map<GPUBuffer, number>();
  const devices: GPUDevice[] = [];
  const groups = new Set<WeakRef<GPUBindGroup>>();
  let made = 0;
  const watch = (device: GPUDevice): GPUDevice => {
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      const buffer = createBuffer(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      alive.set(buffer, descriptor.size);
      made += 1;
      buffer.destroy = () => {
        alive.delete(buffer);
        return destroy();
      };
      return buffer;
    };
    const createBindGroup = device.createBindGroup.bind(device);
    device.createBindGroup = (descriptor) => {
      const group = createBindGroup(descriptor);
      groups.add(new WeakRef(group));
      return group;
    };
    devices.push(device);
    return device;
  };
  const requestAdapter: GPU["requestAdapter"] = async (options) => {
    const adapter = await real.requestAdapter(options);
    if (!adapter) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => watch(await requestDevice(descriptor));
    return adapter;
  };
  return {
    gpu: { requestAdapter, real } as unknown as GPU,
    bytes: () => [...alive.values()].reduce((sum, size) => sum + size, 0),
    made: () => made,
    alive: () => {
      for (const group of groups) if (!group.deref()) groups.delete(group);
      return { buffers: alive.size, bindGroups: groups.size };
    },
    device: () => devices.at(-1)!,
    devices: () => devices.length,
  };
}
