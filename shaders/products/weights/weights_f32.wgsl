// f32: 128 bytes per block of 32. Needs: quants: array<vec4<f32>>.
//: import products/weights/weights_plain

// Weights 4j to 4j + 3.
fn block_vec(b: Block, j: u32) -> vec4<f32> {
  return quants[b.at + j];
}
