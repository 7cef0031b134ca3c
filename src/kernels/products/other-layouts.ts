/** WGSL of the layouts that the default model does not have. */
export { default as bf16 } from "../../../shaders/products/weights/weights_bf16.wgsl";
export { default as f16 } from "../../../shaders/products/weights/weights_f16.wgsl";
export { default as f32 } from "../../../shaders/products/weights/weights_f32.wgsl";
export { default as fp4 } from "../../../shaders/products/weights/weights_fp4.wgsl";
export { default as iq4 } from "../../../shaders/products/weights/weights_iq4.wgsl";
export { default as q2 } from "../../../shaders/products/weights/weights_q2.wgsl";
export { default as q3 } from "../../../shaders/products/weights/weights_q3.wgsl";
export { default as q5 } from "../../../shaders/products/weights/weights_q5.wgsl";
export { default as q6 } from "../../../shaders/products/weights/weights_q6.wgsl";
