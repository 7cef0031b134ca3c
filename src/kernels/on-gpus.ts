/** Kernels of GPUs, which CPU adapters need only where they are tested. */
export { combineTiles, decodeTiles, prefillTiles } from "./attention-tiles.ts";
export { createStagedMatmul, STAGED_CODE } from "./matmul-staged.ts";
export { createMatvec, MATVEC_CODE } from "./matvec.ts";
