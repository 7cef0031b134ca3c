import { sharedGpu } from "./shared-gpu.ts";

/** The package webgpu, as src/node/dawn.ts has it in the suite of models. */
export { globals } from "webgpu";
export const create = (): GPU => sharedGpu;
