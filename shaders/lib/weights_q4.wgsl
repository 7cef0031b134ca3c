// q4: 32 four-bit codes in one vec4<u32>, weight = scale * code + minimum. 20 bytes a block of 32
// (24 with f32 scales). Nibble j of component c is weight 4j + c, so one shift and mask of the
// vector gives four consecutive weights. Needs: quants: array<vec4<u32>>, scale_pair.

// The 32 weights of a block, four a vector. scale * code is exact in f32 (at most 21 bits), so the
// sum rounds once, fused or not.
fn weight_block(block: u32) -> array<vec4<f32>, 8> {
  let q = quants[block];
  let pair = scale_pair(block);
  let d = vec4(pair.x);
  let m = vec4(pair.y);
  return array<vec4<f32>, 8>(
    d * vec4<f32>(vec4<i32>(q & vec4(15u))) + m,
    d * vec4<f32>(vec4<i32>((q >> vec4(4u)) & vec4(15u))) + m,
    d * vec4<f32>(vec4<i32>((q >> vec4(8u)) & vec4(15u))) + m,
    d * vec4<f32>(vec4<i32>((q >> vec4(12u)) & vec4(15u))) + m,
    d * vec4<f32>(vec4<i32>((q >> vec4(16u)) & vec4(15u))) + m,
    d * vec4<f32>(vec4<i32>((q >> vec4(20u)) & vec4(15u))) + m,
    d * vec4<f32>(vec4<i32>((q >> vec4(24u)) & vec4(15u))) + m,
    d * vec4<f32>(vec4<i32>(q >> vec4(28u))) + m,
  );
}
