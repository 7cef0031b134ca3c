/** A buffer variable of @group(0), as WGSL declares it. */
type Declaration = (binding: number) => string;

const declare =
  (space: string) =>
  (name: string, type: string): Declaration =>
  (binding) =>
    `@group(0) @binding(${binding}) var<${space}> ${name}: ${type};`;

export const uniform = declare("uniform");
export const reads = declare("storage, read");
export const writes = declare("storage, read_write");

/**
 * WGSL declarations, numbered in order, for kernels whose set of buffers depends on the weight layout and the
 * epilogue.
 */
export const declareBindings = (declarations: readonly Declaration[]): string =>
  declarations.map((declaration, i) => declaration(i)).join("\n");
