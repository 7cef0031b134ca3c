import type { GpuCounts } from "./bench-engine.ts";

const counts: GpuCounts = {
  dispatches: 0,
  submits: 0,
  buffersCreated: 0,
  bindGroupsCreated: 0,
  liveBytes: 0,
  peakBytes: 0,
};

export const gpuCounts = (): GpuCounts => ({ ...counts });

/** Calls `note` before each call of a method. */
function watch(
  prototype: object | undefined,
  method: string,
  note: (self: object, args: unknown[], result: unknown) => void,
): void {
  const original: unknown = prototype && Reflect.get(prototype, method);
  if (!prototype || typeof original !== "function") return;
  Reflect.set(prototype, method, function (this: object, ...args: unknown[]): unknown {
    const result: unknown = Reflect.apply(original, this, args);
    note(this, args, result);
    return result;
  });
}

/** Wraps the prototypes of this realm: every device made from now on, or before, is counted. */
export function countWebGpu(): void {
  const live = new Map<object, number>();
  const device = globalThis.GPUDevice?.prototype;
  const pass = globalThis.GPUComputePassEncoder?.prototype;
  watch(device, "createBuffer", (_self, [descriptor], buffer) => {
    const { size } = descriptor as GPUBufferDescriptor;
    live.set(buffer as object, size);
    counts.buffersCreated += 1;
    counts.liveBytes += size;
    counts.peakBytes = Math.max(counts.peakBytes, counts.liveBytes);
  });
  watch(globalThis.GPUBuffer?.prototype, "destroy", (buffer) => {
    counts.liveBytes -= live.get(buffer) ?? 0;
    live.delete(buffer);
  });
  watch(device, "destroy", () => {
    counts.liveBytes = 0;
    live.clear();
  });
  watch(device, "createBindGroup", () => {
    counts.bindGroupsCreated += 1;
  });
  watch(globalThis.GPUQueue?.prototype, "submit", () => {
    counts.submits += 1;
  });
  const dispatched = (): void => {
    counts.dispatches += 1;
  };
  watch(pass, "dispatchWorkgroups", dispatched);
  watch(pass, "dispatchWorkgroupsIndirect", dispatched);
}

/** Name of the channel on which a worker answers what it has counted. */
const CHANNEL = "bench-gpu-counts";

/** In a worker: counts, and answers those who ask. */
export function answerCounts(): void {
  countWebGpu();
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => {
    if (data === "ask") channel.postMessage(gpuCounts());
  };
}

/** On the page: what its worker has counted. */
export function askCounts(): Promise<GpuCounts> {
  const channel = new BroadcastChannel(CHANNEL);
  return new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      channel.close();
      resolve(data as GpuCounts);
    };
    channel.postMessage("ask");
  });
}
