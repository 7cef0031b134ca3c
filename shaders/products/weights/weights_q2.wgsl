// q2 (Q2_K): 32 two-bit codes in one vec2<u32>, weight k's at bits 2 (k % 16) of word k / 16; scale and minimum in
// f32 for each 16 weights. weight = scale * code + minimum. 24 bytes per block of 32.
// Needs: quants: array<vec2<u32>>, scales: array<vec4<f32>>.
//: import products/weights/weights_plain_dot
//: import products/weights/weights_pairs

struct Block { q: vec2<u32>, pairs: vec4<f32> }

fn load_block(block: u32) -> Block {
  return Block(quants[block], scales[block]);
}

// Weights 4j to 4j + 3. scale * code is exact in f32 (at most 17 bits), so the sum rounds once.
fn block_vec(b: Block, step: Step) -> vec4<f32> {
  let pair = select(b.pairs.xy, b.pairs.zw, step.second);
  return pair.x * two_bits(b.q, step) + vec4(pair.y);
}
