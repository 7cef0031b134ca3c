/** What tests import from the package `webgpu`, by the browser's own WebGPU. */
export const create = (_options: readonly string[]): GPU => navigator.gpu;

export const globals = {};
