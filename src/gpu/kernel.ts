/** How a shader sees a binding: `write` is read_write storage. */
export type BindingType = "uniform" | "read" | "write";

export interface KernelSpec {
  /** Names the pipeline in error messages and captures. */
  label: string;
  /** WGSL parts, joined in order: constants, lib snippets, the kernel itself. */
  code: readonly string[];
  /** Types of @group(0) @binding(0..n-1), in order; `none`: the shader has no binding of that number. */
  bindings: readonly (BindingType | "none")[];
}

export type BufferBinding = GPUBuffer | GPUBufferBinding;

/** A compiled compute pipeline with an explicit bind-group layout (layout:"auto" drops unused bindings). */
export interface Kernel {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  bind(...buffers: BufferBinding[]): GPUBindGroup;
}

/** One dispatch, ready to be encoded any number of times. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly bindings: GPUBindGroup;
  readonly workgroups: readonly [x: number, y?: number, z?: number];
}

const BUFFER_TYPE: Record<BindingType, GPUBufferBindingType> = {
  uniform: "uniform",
  read: "read-only-storage",
  write: "storage",
};

/** WGSL `const` declarations, e.g. { HEAD_DIM: 64 } -> "const HEAD_DIM = 64u;". */
export function wgslConstants(values: Record<string, number | boolean>): string {
  return Object.entries(values)
    .map(([name, value]) => `const ${name} = ${typeof value === "number" ? `${value}u` : value};`)
    .join("\n");
}

/** Compiles asynchronously; throws GPUPipelineError with Tint's message when the WGSL is wrong. */
export async function compileKernel(device: GPUDevice, spec: KernelSpec): Promise<Kernel> {
  const entries = spec.bindings.flatMap((type, binding) =>
    type === "none"
      ? []
      : [{ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: BUFFER_TYPE[type] } }],
  );
  const layout = device.createBindGroupLayout({ label: spec.label, entries });
  const module = device.createShaderModule({ label: spec.label, code: spec.code.join("\n") });
  const pipeline = await device.createComputePipelineAsync({
    label: spec.label,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: "main" },
  });
  return {
    label: spec.label,
    pipeline,
    bind: (...buffers) =>
      device.createBindGroup({
        label: spec.label,
        layout,
        entries: buffers.map((buffer, i) => ({
          binding: entries[i]!.binding,
          resource: "buffer" in buffer ? buffer : { buffer },
        })),
      }),
  };
}

/** Encodes dispatches in order as one compute pass. */
export function encodePass(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[]): void {
  const pass = encoder.beginComputePass();
  encodeDispatches(pass, dispatches);
  pass.end();
}

/** Encodes dispatches in order into a compute pass. */
export function encodeDispatches(
  pass: GPUComputePassEncoder,
  dispatches: readonly Dispatch[],
): void {
  for (const { kernel, bindings, workgroups } of dispatches) {
    pass.setPipeline(kernel.pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(...workgroups);
  }
}
