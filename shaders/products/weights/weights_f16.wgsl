// f16: halves in file order. 64 bytes per block of 32. Exact, except that a GPU may flush subnormal
// halves (below 6.1e-5) to zero. Needs: quants: array<vec2<u32>>.
//: import products/weights/weights_plain

// Weights 4j to 4j + 3.
fn block_vec(b: Block, j: u32) -> vec4<f32> {
  let pair = quants[b.at + j];
  return vec4(unpack2x16float(pair.x), unpack2x16float(pair.y));
}
