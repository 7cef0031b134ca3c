// q5: as q4, with bit 4 of weight k at bit k of high[block]. weight = scale * code + minimum.
// 24 bytes a block of 32 (28 with f32 scales).
// Needs: quants: array<vec4<u32>>, high: array<u32>, scale_pair.

fn fifth_bits(h: u32, j: u32) -> vec4<u32> {
  return ((vec4(h) >> (vec4(4u * j) + vec4(0u, 1u, 2u, 3u))) & vec4(1u)) << vec4(4u);
}

// The 32 weights of a block, four a vector. scale * code is exact in f32 (at most 22 bits).
fn weight_block(block: u32) -> array<vec4<f32>, 8> {
  let q = quants[block];
  let h = high[block];
  let pair = scale_pair(block);
  let d = vec4(pair.x);
  let m = vec4(pair.y);
  return array<vec4<f32>, 8>(
    d * vec4<f32>(vec4<i32>((q & vec4(15u)) | fifth_bits(h, 0u))) + m,
    d * vec4<f32>(vec4<i32>(((q >> vec4(4u)) & vec4(15u)) | fifth_bits(h, 1u))) + m,
    d * vec4<f32>(vec4<i32>(((q >> vec4(8u)) & vec4(15u)) | fifth_bits(h, 2u))) + m,
    d * vec4<f32>(vec4<i32>(((q >> vec4(12u)) & vec4(15u)) | fifth_bits(h, 3u))) + m,
    d * vec4<f32>(vec4<i32>(((q >> vec4(16u)) & vec4(15u)) | fifth_bits(h, 4u))) + m,
    d * vec4<f32>(vec4<i32>(((q >> vec4(20u)) & vec4(15u)) | fifth_bits(h, 5u))) + m,
    d * vec4<f32>(vec4<i32>(((q >> vec4(24u)) & vec4(15u)) | fifth_bits(h, 6u))) + m,
    d * vec4<f32>(vec4<i32>((q >> vec4(28u)) | fifth_bits(h, 7u))) + m,
  );
}
