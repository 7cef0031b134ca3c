import { WinnowError } from "../errors.ts";

/**
 * When a kernel is first needed: to read a first prompt and draw a token, for the tokens after it, for prompts behind
 * what is cached, or once a cache evicts.
 */
export type Stage = "prompt" | "answer" | "turn" | "eviction";

/** WGSL: a text, or a shader with the texts that it imports. */
export type Wgsl = string | readonly string[];

export interface KernelSpec {
  /** Names the pipeline in error messages and captures. */
  label: string;
  /** Constants, what the kernel's variant needs, the kernel itself. A text that several parts import counts once. */
  code: readonly Wgsl[];
  /** Default "prompt". */
  stage?: Stage | undefined;
}

export type BufferBinding = GPUBuffer | GPUBufferBinding;

/** Buffers under the names that shaders give them. */
export type NamedBuffers<T> = { readonly [Name in keyof T]: BufferBinding | undefined };

/** A compute pipeline whose bind-group layout is what its shader declares (layout:"auto" drops unused bindings). */
export interface Kernel {
  readonly label: string;
  /** Throws internal until it is compiled. */
  readonly pipeline: GPUComputePipeline;
  /**
   * One dispatch over the buffers that the shader declares. Buffers that it does not declare are passed over, so that
   * kernels of one step can be given the same ones. Throws internal where one is missing.
   */
  dispatch<T extends NamedBuffers<T>>(buffers: T, workgroups: Workgroups): Dispatch;
}

export type Workgroups = readonly [x: number, y?: number, z?: number];

/** One dispatch, ready to be encoded any number of times. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly bindings: GPUBindGroup;
  readonly workgroups: Workgroups;
}

/** A buffer variable of @group(0). */
export interface ShaderBinding {
  readonly binding: number;
  readonly name: string;
  readonly type: GPUBufferBindingType;
}

const DECLARATION =
  /@group\(0\)\s*@binding\((\d+)\)\s*var<\s*(uniform|storage)\s*(?:,\s*(read|read_write)\s*)?>\s*(\w+)\s*:/g;

/** The buffers that a shader declares, in the order of its text. */
export const shaderBindings = (code: string): ShaderBinding[] =>
  [...code.matchAll(DECLARATION)].map(([, binding, space, access, name]) => ({
    binding: Number(binding),
    name: name!,
    type: space === "uniform" ? space : access === "read_write" ? "storage" : "read-only-storage",
  }));

/** The module that a kernel's parts make together. */
export const moduleOf = ({ code }: KernelSpec): string => [...new Set(code.flat())].join("\n");

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
  readonly isCompiled: boolean;
  /** Compiles once; rejects with GPUPipelineError and Tint's message when the WGSL is wrong. */
  compile(): Promise<void>;
}

export function pendingKernel(
  device: GPUDevice,
  spec: KernelSpec,
  code = moduleOf(spec),
): PendingKernel {
  const declared = shaderBindings(code);
  const layout = device.createBindGroupLayout({
    label: spec.label,
    entries: declared.map(({ binding, type }) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type },
    })),
  });
  const compilePipeline = (): Promise<GPUComputePipeline> => {
    const module = device.createShaderModule({ label: spec.label, code });
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
    dispatch(buffers, workgroups) {
      const given: Readonly<Record<string, BufferBinding | undefined>> = buffers;
      const entries = declared.map(({ binding, name }) => {
        const buffer = given[name];
        if (!buffer) throw new WinnowError("internal", `${spec.label}: no buffer for ${name}`);
        return { binding, resource: "buffer" in buffer ? buffer : { buffer } };
      });
      const bindings = device.createBindGroup({ label: spec.label, layout, entries });
      return { kernel, bindings, workgroups };
    },
  };
  return {
    kernel,
    get isCompiled() {
      return pipeline !== undefined;
    },
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
