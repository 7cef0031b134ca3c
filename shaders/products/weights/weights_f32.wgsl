// f32: 128 bytes per block of 32. Needs: quants: array<vec4<f32>>.
//: import products/weights/weights_plain_dot

struct Block { at: u32 }

fn load_block(block: u32) -> Block {
  return Block(8u * block);
}

// Here a step is j itself.
fn block_step(j: u32) -> u32 {
  return j;
}

// Weights 4j to 4j + 3.
fn block_vec(b: Block, j: u32) -> vec4<f32> {
  return quants[b.at + j];
}
