// q8 (Q8_0): 32 signed bytes in two vec4<u32>, weight = scale * code, scale in f32. 36 bytes a
// block. Byte j of component c of vector v is weight 16v + 4j + c.
// Needs: quants: array<vec4<u32>>, scales: array<f32>.

struct Block { q: vec4<u32>, r: vec4<u32>, scale: f32 }

fn load_block(block: u32) -> Block {
  return Block(quants[2u * block], quants[2u * block + 1u], scales[block]);
}

// Weights 4j to 4j + 3; scale * code is exact in f32 (at most 19 bits).
fn block_vec(b: Block, j: u32) -> vec4<f32> {
  let v = vec4<i32>(select(b.q, b.r, j >= 4u));
  return b.scale * vec4<f32>((v << vec4(24u - 8u * (j & 3u))) >> vec4(24u));
}
