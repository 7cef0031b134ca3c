// Embedding lookup: y[m] = SCALE * W[rows[first + m].token], for the rows of one part of the matrix (the
// tied head's own layout). One invocation a block of 32 weights. A token past the vocabulary
// writes nothing.
// Per token: E weights read, 4E bytes written. No reuse: bound by memory, and negligible.
// Needs: weights_<layout>; batch, shape, rows, y; const ROW_BLOCKS (blocks per row), COLS4 (E / 4), SCALE.
//: import lib/batch

struct EmbedShape { rows: u32, first_row: u32, pad0: u32, pad1: u32 }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let block = id.x;
  if (block >= ROW_BLOCKS || id.y >= batch.rows) { return; }
  let row = rows[batch.first + id.y].x - shape.first_row;
  if (row >= shape.rows) { return; }
  let b = load_block(row * ROW_BLOCKS + block);
  let at = id.y * COLS4 + block * 8u;
  for (var j = 0u; j < 8u && block * 8u + j < COLS4; j++) { y[at + j] = SCALE * block_vec(b, block_step(j)); }
}
