/** Kernels of CPU adapters. GPUs need none of them, but for a register tile that tuning may pick. */
export { combineSerially, decodeSerially, prefillSerially } from "./attention/attention-serial.ts";
export { createMatmul, MATMUL_CODES } from "./products/matmul.ts";
export { serialNorm } from "./products/rms-norm-serial.ts";
