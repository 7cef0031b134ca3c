// Scales of two groups of 16 weights of Q3_K or Q6_K: the half d, in the upper bits of a word, times each signed byte
// below. Needs: scales: array<u32>.
//: import products/weights/weights_step

fn two_scales(block: u32) -> vec2<f32> {
  let word = scales[block];
  return half_value(word >> 16u) * vec2(f32(extractBits(i32(word), 0u, 8u)), f32(extractBits(i32(word), 8u, 8u)));
}
