/** WGSL of the layouts that the default model does not have. */
export { default as bf16 } from "../../shaders/lib/weights_bf16.wgsl";
export { default as f16 } from "../../shaders/lib/weights_f16.wgsl";
export { default as f32 } from "../../shaders/lib/weights_f32.wgsl";
export { default as q5 } from "../../shaders/lib/weights_q5.wgsl";
export { default as q6 } from "../../shaders/lib/weights_q6.wgsl";
