import { sharedGpu } from "../shared-gpu.ts";
import { watchDevices } from "./watch-devices.ts";

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

export function watchedGpu(real: GPU = sharedGpu): WatchedGpu {
  const alive = new Map<GPUBuffer, number>();
  const devices: GPUDevice[] = [];
  const groups = new Set<WeakRef<GPUBindGroup>>();
  let made = 0;
  const watch = (device: GPUDevice): void => {
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
  };
  return {
    gpu: watchDevices(real, watch),
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
