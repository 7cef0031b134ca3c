const GIB = 2 ** 30;

/**
 * Bytes a page may use on the GPU. WebGPU tells limits a buffer only (`maxBufferSize`), no total:
 * assumed are half of the memory the browser reports (`navigator.deviceMemory`, GiB, 8 at most),
 * or 2 GiB where it reports none. An adapter below WebGPU's default buffer gets its buffer size.
 */
export function assumedGpuBytes(limits: {
  readonly maxBufferSize: number;
  readonly deviceMemory?: number | undefined;
}): number {
  const { maxBufferSize, deviceMemory = 4 } = limits;
  return maxBufferSize < GIB / 4 ? maxBufferSize : (deviceMemory / 2) * GIB;
}
