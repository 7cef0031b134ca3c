// The paged KV cache as shaders see it. Needs: const HEAD_DIM (D), const PAGE_SLOTS (P).
//
// Each layer has one slab of pages. A page belongs to one (sequence, layer, kv head) and holds, in u32 words:
//   keys      [P, D/2]  f16 pairs, after RoPE at the true position
//   values    [P, D/2]  f16 pairs
//   positions [P]       u32, the token's true position
//   scores    [P]       f32 bits, higher = keep
// A page table row belongs to one (lane, layer, kv head): [count, capacity, page 0, page 1, ...];
// slot s of that head lies in page row[2 + s / P] at s % P. Slots are unordered.

const HALF_DIM = HEAD_DIM / 2u;
const SLOT_WORDS = HEAD_DIM + 2u;
const PAGE_WORDS = PAGE_SLOTS * SLOT_WORDS;

struct LayerShape {
  layer: u32,
  layers: u32,     // L
  kv_heads: u32,   // G
  max_pages: u32,  // entries of a page-table row
  heads: u32,      // H
  chunk_pages: u32, // pages a kv head has in the chunk scratch
  epsilon_bits: u32,
  pad: u32,
}

// One row of a batch: a token to run at a position of a lane (a sequence in the pool).
struct Row {
  token: u32,
  position: u32,
  lane: u32,
  block_row: u32, // of a prompt: its row in the prompt block's scratch
}

// How a lane scores a key: score = dot * (key . filter) + norm * |key| + position * pos + random * hash(pos).
struct Lane {
  dot: f32,
  norm: f32,
  position: f32,
  random: f32,
  window: u32,  // most recent tokens never evicted
  sinks: u32,   // first tokens never evicted
  seed: u32,
  pad: u32,
}

fn table_row(shape: LayerShape, lane: u32, kv_head: u32) -> u32 {
  return ((lane * shape.layers + shape.layer) * shape.kv_heads + kv_head) * (shape.max_pages + 2u);
}

// First word of a slot's key, value, position and score, given its page.
fn key_word(page: u32, slot: u32) -> u32 {
  return page * PAGE_WORDS + (slot % PAGE_SLOTS) * HALF_DIM;
}
fn value_word(page: u32, slot: u32) -> u32 {
  return page * PAGE_WORDS + PAGE_SLOTS * HALF_DIM + (slot % PAGE_SLOTS) * HALF_DIM;
}
fn position_word(page: u32, slot: u32) -> u32 {
  return page * PAGE_WORDS + PAGE_SLOTS * HEAD_DIM + slot % PAGE_SLOTS;
}
fn score_word(page: u32, slot: u32) -> u32 {
  return page * PAGE_WORDS + PAGE_SLOTS * (HEAD_DIM + 1u) + slot % PAGE_SLOTS;
}
