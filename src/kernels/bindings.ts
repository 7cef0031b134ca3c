import type { BindingType } from "../gpu/kernel.ts";

/** A variable of @group(0) as a shader declares it. */
export interface Binding {
  readonly name: string;
  readonly access: BindingType;
  /** WGSL type. */
  readonly type: string;
}

export const uniform = (name: string, type: string): Binding => ({ name, access: "uniform", type });
export const reads = (name: string, type: string): Binding => ({ name, access: "read", type });
export const writes = (name: string, type: string): Binding => ({ name, access: "write", type });

const ADDRESS: Record<BindingType, string> = {
  uniform: "var<uniform>",
  read: "var<storage, read>",
  write: "var<storage, read_write>",
};

/**
 * WGSL declarations numbered in order, for kernels whose set of buffers depends on the weight
 * layout and the epilogue.
 */
export const declareBindings = (bindings: readonly Binding[]): string =>
  bindings
    .map(
      ({ name, access, type }, i) =>
        `@group(0) @binding(${i}) ${ADDRESS[access]} ${name}: ${type};`,
    )
    .join("\n");
