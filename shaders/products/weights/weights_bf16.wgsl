// bf16: the upper halves of f32 in file order. 64 bytes per block of 32. Exact.
// Needs: quants: array<vec2<u32>>.
//: import products/weights/weights_plain

// Weights 4j to 4j + 3.
fn block_vec(b: Block, j: u32) -> vec4<f32> {
  let p = quants[b.at + j];
  return bitcast<vec4<f32>>(vec4(p.x << 16u, p.x & 0xffff0000u, p.y << 16u, p.y & 0xffff0000u));
}
