/** WGSL of the layouts that the default model does not have. */
import weightsBf16 from "../../shaders/lib/weights_bf16.wgsl?raw";
import weightsF16 from "../../shaders/lib/weights_f16.wgsl?raw";
import weightsF32 from "../../shaders/lib/weights_f32.wgsl?raw";
import plainDot from "../../shaders/lib/weights_plain_dot.wgsl?raw";
import weightsQ5 from "../../shaders/lib/weights_q5.wgsl?raw";
import weightsQ6 from "../../shaders/lib/weights_q6.wgsl?raw";

export const q5 = [weightsQ5, plainDot];
export const q6 = [weightsQ6, plainDot];
export const f16 = [weightsF16, plainDot];
export const bf16 = [weightsBf16, plainDot];
export const f32 = [weightsF32, plainDot];
