import { WinnowError } from "../errors.ts";

/**
 * When a kernel is first needed: to read a first prompt and draw a token, for the tokens after it, for prompts behind
 * what is cached, or once a cache evicts.
 */
export type Stage = "prompt" | "answer" | "turn" | "eviction";

/** How a shader sees a binding: `write` is read_write storage. */
export type BindingType = "uniform" | "read" | "write";

export interface KernelSpec {
  /** Names the pipeline in error messages and captures. */
  label: string;
  /** WGSL parts, joined in order: constants, lib snippets, the kernel itself. */
  code: readonly string[];
  /** Types of @group(0) @binding(0..n-1), in order; `none`: the shader has no binding of that number. */
  bindings: readonly (BindingType | "none")[];
  /** Default "prompt". */
  stage?: Stage | undefined;
}

export type BufferBinding = GPUBuffer | GPUBufferBinding;

/** A compute pipeline with an explicit bind-group layout (layout:"auto" drops unused bindings). */
export interface Kernel {
  readonly label: string;
  /** Throws internal until it is compiled. */
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

/** A WGSL f32 literal; 1e-5 must not become an abstract int. */
export const wgslFloat = (value: number): string =>
  Number.isInteger(value) ? `${value}.0f` : `${value}f`;

/** A kernel that binds at once, and runs after `compile`. */
export interface PendingKernel {
  readonly kernel: Kernel;
  /** Compiles once; rejects with GPUPipelineError and Tint's message when the WGSL is wrong. */
  compile(): Promise<void>;
}

export function pendingKernel(device: GPUDevice, spec: KernelSpec): PendingKernel {
  const entries = spec.bindings.flatMap((type, binding) =>
    type === "none"
      ? []
      : [{ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: BUFFER_TYPE[type] } }],
  );
  const layout = device.createBindGroupLayout({ label: spec.label, entries });
  const compilePipeline = (): Promise<GPUComputePipeline> => {
    const module = device.createShaderModule({ label: spec.label, code: spec.code.join("\n") });
    return device.createComputePipelineAsync({
      label: spec.label,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
  };
  let pipeline: GPUComputePipeline | undefined;
  let compiling: Promise<void> | undefined;
  const kernel: Kernel = {
    label: spec.label,
    get pipeline() {
      if (pipeline) return pipeline;
      throw new WinnowError("internal", `the kernel "${spec.label}" runs before it is compiled`);
    },
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
  return {
    kernel,
    compile() {
      compiling ??= compilePipeline().then((compiled) => {
        pipeline = compiled;
      });
      return compiling;
    },
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
