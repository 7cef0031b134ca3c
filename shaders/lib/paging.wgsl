// The paged KV cache as shaders see it.
//
// Each layer has one slab of pages. A page belongs to one (sequence, layer, kv head) and holds P slots, laid
// out as lib/page_slots.wgsl says. A page table row belongs to one (lane, layer, kv head):
// [count, capacity, page 0, page 1, ..., remainder]; slot s of that head lies in page row[2 + s / P] at s % P. Slots are
// unordered. The remainder is what the head has dropped, in sum (lib/remainder.wgsl).
//: import lib/batch

struct LayerShape {
  layer: u32,
  layers: u32,     // L
  kv_heads: u32,   // G
  max_pages: u32,  // entries of a page-table row
  heads: u32,      // H
  chunk_pages: u32, // pages a kv head has in the chunk scratch
  row_words: u32,   // of a page-table row
  stride: u32,      // positions that a fold takes away: S of rope_position
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
  scoring: u32, // which scoring anew it needs, 0: none
  every: u32,   // tokens from one scoring to the next while decoding: before positions that are
  phase: u32,   // this, modulo `every`
  remembers: u32, // 1: what it drops is added to the head's remainder
  folds: u32,   // how often its positions have been folded: rope_position
  system: u32,  // first tokens that are the system prompt
}

// The first so many tokens are never evicted from a head: the sinks, and of the system prompt as much as fits into a
// quarter of what the window leaves.
fn first_kept(lane: Lane, capacity: u32) -> u32 {
  return max(lane.sinks, min(lane.system, (capacity - min(capacity, lane.window)) / 4u));
}

fn table_row(shape: LayerShape, lane: u32, kv_head: u32) -> u32 {
  return ((lane * shape.layers + shape.layer) * shape.kv_heads + kv_head) * shape.row_words;
}

// Where a page-table row names the page of a slot.
fn page_entry(row: u32, slot: u32) -> u32 { return row + 2u + slot / PAGE_SLOTS; }

// Where the remainder of a page-table row begins.
fn remainder_of(shape: LayerShape, row: u32) -> u32 { return row + 2u + shape.max_pages; }
