/** WGSL of the layouts that the default model does not have. */
import bf16 from "../../../shaders/products/weights/weights_bf16.wgsl";
import f16 from "../../../shaders/products/weights/weights_f16.wgsl";
import f32 from "../../../shaders/products/weights/weights_f32.wgsl";
import fp4 from "../../../shaders/products/weights/weights_fp4.wgsl";
import iq4 from "../../../shaders/products/weights/weights_iq4.wgsl";
import q2 from "../../../shaders/products/weights/weights_q2.wgsl";
import q3 from "../../../shaders/products/weights/weights_q3.wgsl";
import q4 from "../../../shaders/products/weights/weights_q4.wgsl";
import q5 from "../../../shaders/products/weights/weights_q5.wgsl";
import q6 from "../../../shaders/products/weights/weights_q6.wgsl";
import scalesF16 from "../../../shaders/products/weights/weights_scales_f16.wgsl";
import scalesF32 from "../../../shaders/products/weights/weights_scales_f32.wgsl";
import scalesK from "../../../shaders/products/weights/weights_scales_k.wgsl";

export const OTHER_LAYOUTS = {
  q2: [q2],
  q3: [q3],
  q4_k: [scalesK, q4],
  q5: [scalesF16, q5],
  q5_k: [scalesK, q5],
  q5_wide: [scalesF32, q5],
  q6: [q6],
  iq4: [iq4],
  fp4: [fp4],
  f16: [f16],
  bf16: [bf16],
  f32: [f32],
};
