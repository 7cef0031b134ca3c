/** Kernels of GPUs, which CPU adapters need only where they are tested. */
export { combineTiles, decodeTiles, prefillTiles } from "./attention/attention-tiles.ts";
export { createStagedMatmul, STAGED_CODE } from "./products/matmul-staged.ts";
export { createMatvec, MATVEC_CODE } from "./products/matvec.ts";
