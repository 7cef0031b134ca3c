// q3 (Q3_K): the low two bits as in q2, bit 2 of weight k at bit k of high[block]; one scale for each 16 weights.
// weight = scale * (code - 4). 16 bytes per block of 32.
// Needs: quants: array<vec2<u32>>, high: array<u32>.
//: import products/weights/weights_plain_dot
//: import products/weights/weights_two_scales
//: import products/weights/weights_pairs

struct Block { q: vec2<u32>, h: u32, pair: vec2<f32> }

fn load_block(block: u32) -> Block {
  return Block(quants[block], high[block], two_scales(block));
}

// Weights 4j to 4j + 3. scale * (code - 4) is exact in f32.
fn block_vec(b: Block, step: Step) -> vec4<f32> {
  let bits = vec4(b.h >> (4u * step.j)) & vec4(1u, 2u, 4u, 8u);
  let top = select(vec4(-4.0), vec4(0.0), bits != vec4(0u));
  return select(b.pair.x, b.pair.y, step.second) * (two_bits(b.q, step) + top);
}
