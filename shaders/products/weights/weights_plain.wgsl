// Blocks of 32 weights without scales, in 8 elements of quants. Needs: block_vec.
//: import products/weights/weights_plain_dot

struct Block { at: u32 }

fn load_block(block: u32) -> Block {
  return Block(8u * block);
}

// Here a step is j itself.
fn block_step(j: u32) -> u32 {
  return j;
}
