// q6 (Q6_K): low four bits as in q4; bits 4 and 5 of weight k at bits 2 (k % 16) of word k / 16 of
// high[block]; one f32 scale for each 16 weights. weight = scale * (code - 32). 32 bytes a block.
// Needs: quants: array<vec4<u32>>, high: array<vec2<u32>>, scales: array<vec2<f32>>.

fn top_bits(h: u32, j: u32) -> vec4<u32> {
  return ((vec4(h) >> (vec4(8u * j) + vec4(0u, 2u, 4u, 6u))) & vec4(3u)) << vec4(4u);
}

// The 32 weights of a block, four a vector. scale * (code - 32) rounds once, as in the reference.
fn weight_block(block: u32) -> array<vec4<f32>, 8> {
  let q = quants[block];
  let h = high[block];
  let pair = scales[block];
  let a = vec4(pair.x);
  let b = vec4(pair.y);
  let zero = vec4(32);
  return array<vec4<f32>, 8>(
    a * vec4<f32>(vec4<i32>((q & vec4(15u)) | top_bits(h.x, 0u)) - zero),
    a * vec4<f32>(vec4<i32>(((q >> vec4(4u)) & vec4(15u)) | top_bits(h.x, 1u)) - zero),
    a * vec4<f32>(vec4<i32>(((q >> vec4(8u)) & vec4(15u)) | top_bits(h.x, 2u)) - zero),
    a * vec4<f32>(vec4<i32>(((q >> vec4(12u)) & vec4(15u)) | top_bits(h.x, 3u)) - zero),
    b * vec4<f32>(vec4<i32>(((q >> vec4(16u)) & vec4(15u)) | top_bits(h.y, 0u)) - zero),
    b * vec4<f32>(vec4<i32>(((q >> vec4(20u)) & vec4(15u)) | top_bits(h.y, 1u)) - zero),
    b * vec4<f32>(vec4<i32>(((q >> vec4(24u)) & vec4(15u)) | top_bits(h.y, 2u)) - zero),
    b * vec4<f32>(vec4<i32>((q >> vec4(28u)) | top_bits(h.y, 3u)) - zero),
  );
}
