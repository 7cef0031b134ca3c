import { create, globals } from "webgpu";

Object.assign(globalThis, globals);
const real = create([]);
/** Devices that stay open while the worker lives, by the descriptor they were asked for with. */
const devices = new Map<string, Promise<GPUDevice>>();
/** Dawn hands out a pipeline again as long as someone holds it. */
const pipelines = new Set<GPUComputePipeline>();

/**
 * A GPU whose devices are leases of one: what is compiled for one engine is there for the next, also in the
 * worker's other test files. A software adapter compiles an engine's kernels for ten seconds and runs a tiny
 * model in a fraction of one. Tests of devices that are lost or closed need a GPU of their own: `create([])`.
 */
export const sharedGpu = gpuOf({});

/** The same, whose adapter offers bindings and buffers of WebGPU's default limits and no larger ones. */
export const defaultLimitsGpu = gpuOf({
  maxStorageBufferBindingSize: 2 ** 27,
  maxBufferSize: 2 ** 28,
});

function gpuOf(offered: Partial<Record<keyof GPUSupportedLimits, number>>): GPU {
  const requestAdapter = async (options?: GPURequestAdapterOptions): Promise<GPUAdapter | null> => {
    const adapter = await real.requestAdapter(options);
    const requestDevice = async (descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> => {
      const key = JSON.stringify([options, descriptor]);
      const open = devices.get(key) ?? adapter!.requestDevice(descriptor);
      devices.set(key, open);
      return lease(await open);
    };
    return adapter && overlay(adapter, { requestDevice, limits: overlay(adapter.limits, offered) });
  };
  return { requestAdapter } as GPU;
}

/** Ends alone, while the device goes on: its buffers are its owner's to destroy. */
function lease(device: GPUDevice): GPUDevice {
  let end: (info: GPUDeviceLostInfo) => void = () => {};
  const lost = new Promise<GPUDeviceLostInfo>((resolve) => {
    end = resolve;
  });
  let ended = false;
  return overlay(device, {
    lost,
    destroy: () => {
      ended = true;
      end({ reason: "destroyed", message: "closed" } as GPUDeviceLostInfo);
    },
    // What goes wrong on the device afterwards is another lease's.
    addEventListener: (type: string, listener: (event: Event) => void) =>
      device.addEventListener(type, (event) => {
        if (!ended) listener(event);
      }),
    createComputePipelineAsync: async (descriptor: GPUComputePipelineDescriptor) => {
      const pipeline = await device.createComputePipelineAsync(descriptor);
      pipelines.add(pipeline);
      return pipeline;
    },
  });
}

/** `object` with other members in front of its own; what is assigned stays in front. */
function overlay<T extends object>(object: T, front: object): T {
  return new Proxy(object, {
    get: (_, name) => {
      if (Object.hasOwn(front, name)) return Reflect.get(front, name);
      const value: unknown = Reflect.get(object, name);
      return typeof value === "function" ? value.bind(object) : value;
    },
    set: (_, name, value) => Reflect.set(front, name, value),
  });
}
