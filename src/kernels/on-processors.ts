/** Kernels of CPU adapters. GPUs need none of them, but for a register tile that tuning may pick. */
export { combineSerially, decodeSerially, prefillSerially } from "./attention-serial.ts";
export { createMatmul, MATMUL_CODES } from "./matmul.ts";
export { serialNorm } from "./rms-norm-serial.ts";
