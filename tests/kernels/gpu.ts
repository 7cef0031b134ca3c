import { create, globals } from "webgpu";
import type { AdapterKind } from "../../src/gpu/adapter-kind.ts";
import { GpuContext, openGpu } from "../../src/gpu/context.ts";

Object.assign(globalThis, globals);
const gpu = create([]);

/** A GPU context on whatever adapter Dawn finds; throws (a failure, not a skip) where there is none. `kind`: as of openGpu. */
export const testGpu = async (kind?: AdapterKind): Promise<GpuContext> =>
  throwing(await openGpu(gpu, kind));

/** The same with a device that has none of WebGPU's optional features. */
export async function testGpuPlain(): Promise<GpuContext> {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("Dawn finds no adapter");
  return throwing(new GpuContext(gpu, adapter, await adapter.requestDevice()));
}

function throwing(context: GpuContext): GpuContext {
  context.device.addEventListener("uncapturederror", (event) => {
    throw new Error(`WebGPU: ${event.error.message}`);
  });
  return context;
}

/** A storage buffer holding `data`. */
export function upload(
  context: GpuContext,
  data: Uint32Array | Float32Array | Int32Array,
): GPUBuffer {
  const buffer = context.ledger.storage("activations", "test input", data.byteLength);
  context.write(buffer, data);
  return buffer;
}

export const readF32 = async (context: GpuContext, buffer: GPUBuffer): Promise<Float32Array> =>
  new Float32Array(await context.read(buffer));

export const readU32 = async (context: GpuContext, buffer: GPUBuffer): Promise<Uint32Array> =>
  new Uint32Array(await context.read(buffer));
