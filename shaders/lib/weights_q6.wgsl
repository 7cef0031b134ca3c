// q6 (Q6_K): low four bits as in q4; bits 4 and 5 of weight k at bits 2 (k % 16) of word k / 16 of
// high[block]; one f32 scale for each 16 weights. weight = scale * (code - 32). 32 bytes a block.
// Needs: quants: array<vec4<u32>>, high: array<vec2<u32>>, scales: array<vec2<f32>>.

struct Block { q: vec4<u32>, h: vec2<u32>, pair: vec2<f32> }

fn load_block(block: u32) -> Block {
  return Block(quants[block], high[block], scales[block]);
}

// Weights 4j to 4j + 3. scale * (code - 32) rounds once, as in the reference.
fn block_vec(b: Block, j: u32) -> vec4<f32> {
  let second = j >= 4u;
  let low = (b.q >> vec4(4u * j)) & vec4(15u);
  let h = select(b.h.x, b.h.y, second) >> (8u * (j & 3u));
  let top = (vec4(h << 4u, h << 2u, h, h >> 2u)) & vec4(48u);
  return select(b.pair.x, b.pair.y, second) * vec4<f32>(vec4<i32>(low | top) - vec4(32));
}
