import { WinnowError } from "../errors.ts";
import { type AdapterKind, adapterKind } from "./adapter-kind.ts";
import { CompileQueue } from "./compile-queue.ts";
import { type Dispatch, encodePass, type Kernel, type KernelSpec } from "./kernel.ts";
import { MemoryLedger } from "./memory.ts";
import { promptly } from "./prompt-waits.ts";

/** Limits that the portable kernels need: WebGPU's defaults and nothing more. */
const REQUIRED_LIMITS = {
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupsPerDimension: 65535,
} as const;

/** Features that kernels use if the adapter has them. */
const WANTED_FEATURES = ["timestamp-query", "subgroups"] as const;

/** A device with its ledger and its pipelines: everything the layers above need of WebGPU. */
export class GpuContext {
  /** Held so that it lives as long as the device: in Node, Dawn crashes once it is collected. */
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly device: GPUDevice;
  readonly ledger: MemoryLedger;
  /** The kind of adapter that kernels are picked for. */
  readonly kind: AdapterKind;
  readonly kernels: CompileQueue;

  constructor(
    gpu: GPU,
    adapter: GPUAdapter,
    device: GPUDevice,
    kind: AdapterKind = adapterKind(adapter.info),
  ) {
    this.gpu = gpu;
    this.adapter = adapter;
    this.device = device;
    this.ledger = new MemoryLedger(device);
    this.kernels = new CompileQueue(device, kind === "cpu");
    this.kind = kind;
  }

  /** Compiles a kernel once for each distinct source; see `CompileQueue`. */
  kernel(spec: KernelSpec): Promise<Kernel> {
    return this.kernels.kernel(spec);
  }

  /** Encodes and submits dispatches as one command buffer with one pass. */
  run(dispatches: readonly Dispatch[]): void {
    const encoder = this.device.createCommandEncoder();
    encodePass(encoder, dispatches);
    this.device.queue.submit([encoder.finish()]);
  }

  write(
    buffer: GPUBuffer,
    data: Uint32Array | Float32Array | Int32Array | Uint8Array,
    byteOffset = 0,
  ): void {
    this.device.queue.writeBuffer(
      buffer,
      byteOffset,
      data.buffer,
      data.byteOffset,
      data.byteLength,
    );
  }

  /** Copies a buffer from `offset` on to the start of another, as far as both go. */
  copy(from: GPUBuffer, to: GPUBuffer, offset = 0): void {
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, offset, to, 0, Math.min(from.size - offset, to.size));
    this.device.queue.submit([encoder.finish()]);
  }

  /** Bytes [offset, offset + size) of `buffer`, through a temporary staging buffer. */
  async read(buffer: GPUBuffer, offset = 0, size = buffer.size - offset): Promise<ArrayBuffer> {
    const staging = this.ledger.create(
      "staging",
      "read",
      size,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    );
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
      this.device.queue.submit([encoder.finish()]);
      await this.map(staging);
      return staging.getMappedRange().slice(0);
    } finally {
      this.ledger.destroy(staging);
    }
  }

  /** Resolves when all submitted work is done. */
  done(): Promise<undefined> {
    const { queue } = this.device;
    return promptly(queue, queue.onSubmittedWorkDone());
  }

  /** Maps a buffer for reading, once the work submitted so far is done. */
  map(buffer: GPUBuffer): Promise<undefined> {
    return promptly(this.device.queue, buffer.mapAsync(GPUMapMode.READ));
  }

  destroy(): void {
    this.ledger.destroyAll();
    this.device.destroy();
  }
}

/**
 * Opens an adapter and a device with the largest buffers the adapter offers. `kind`: what kernels are picked for,
 * if not what the adapter is: to test and time the others.
 * Throws no_webgpu, no_adapter, adapter_too_weak.
 */
export async function openGpu(gpu: GPU | undefined, kind?: AdapterKind): Promise<GpuContext> {
  if (!gpu) {
    throw new WinnowError("no_webgpu", "this browser has no WebGPU (navigator.gpu is missing)", {
      hint: "Use a current Chrome, Edge, Safari or Firefox, over https or localhost.",
    });
  }
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new WinnowError("no_adapter", "WebGPU found no adapter on this machine", {
      hint: "Update the graphics driver, or turn hardware acceleration on in the browser's settings.",
    });
  }
  for (const [name, needed] of Object.entries(REQUIRED_LIMITS)) {
    const found = adapter.limits[name as keyof typeof REQUIRED_LIMITS];
    if (found < needed) {
      throw new WinnowError(
        "adapter_too_weak",
        `the adapter's ${name} is ${found}, Winnow needs ${needed}`,
        {
          hint: "Use a machine or browser whose WebGPU adapter meets WebGPU's default limits.",
          details: { limit: name, found, needed },
        },
      );
    }
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter((name) => adapter.features.has(name)),
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  return new GpuContext(gpu, adapter, device, kind);
}
