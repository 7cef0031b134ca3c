/** A GPU like `real`, each of whose devices is given to `watch` when it is opened. */
export function watchDevices(real: GPU, watch: (device: GPUDevice) => void): GPU {
  const requestAdapter: GPU["requestAdapter"] = async (options) => {
    const adapter = await real.requestAdapter(options);
    if (!adapter) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await requestDevice(descriptor);
      watch(device);
      return device;
    };
    return adapter;
  };
  // `real` is held: in Node, Dawn crashes once it is collected.
  return { requestAdapter, real } as unknown as GPU;
}
