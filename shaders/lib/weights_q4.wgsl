// q4: 32 four-bit codes in one vec4<u32>, weight = scale * code + minimum. 20 bytes a block of 32
// (24 with f32 scales). Nibble j of component c is weight 4j + c, so one shift and mask of the
// vector gives four consecutive weights. Needs: quants: array<vec4<u32>>, scale_pair.

struct Block { q: vec4<u32>, pair: vec2<f32> }

fn load_block(block: u32) -> Block {
  return Block(quants[block], scale_pair(block));
}

// Weights 4j to 4j + 3. scale * code is exact in f32 (at most 21 bits), so the sum rounds once,
// fused or not.
fn block_vec(b: Block, j: u32) -> vec4<f32> {
  return b.pair.x * vec4<f32>(vec4<i32>((b.q >> vec4(4u * j)) & vec4(15u))) + vec4(b.pair.y);
}
