// q5: as q4, with bit 4 of weight k at bit k of high[block]. weight = scale * code + minimum.
// 24 bytes a block of 32 (28 with f32 scales).
// Needs: quants: array<vec4<u32>>, high: array<u32>, scale_pair.

struct Block { q: vec4<u32>, pair: vec2<f32>, h: u32 }

fn load_block(block: u32) -> Block {
  return Block(quants[block], scale_pair(block), high[block]);
}

// Weights 4j to 4j + 3. scale * code is exact in f32 (at most 22 bits).
fn block_vec(b: Block, j: u32) -> vec4<f32> {
  let low = (b.q >> vec4(4u * j)) & vec4(15u);
  let top = (vec4(b.h >> (4u * j)) << vec4(4u, 3u, 2u, 1u)) & vec4(16u);
  return b.pair.x * vec4<f32>(vec4<i32>(low | top)) + vec4(b.pair.y);
}
