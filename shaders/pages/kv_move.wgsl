// Carries out the moves of evict_select: key, value, position and score of each, to its slot. What lies in the
// pages already is moved as it is stored, rows of the chunk are stored by lib/take_row.
//
// Sources are rows of the chunk or slots >= capacity, destinations slots < capacity: no order is needed.
// Grid: (workgroups that share the moves, G). Needs lib/page_slots.wgsl for `pages` and `chunk`.
//: import lib/paging
//: import pages/lib/eviction
//: import pages/lib/take_row

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> eviction: Eviction;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> moves: array<u32>;
@group(0) @binding(4) var<storage, read> chunk: array<u32>;
@group(0) @binding(5) var<storage, read_write> pages: array<u32>;

const THREADS = 64u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let kv_head = group.y;
  let row = table_row(shape, eviction.lane, kv_head);
  let share = kv_head * (arrayLength(&moves) / shape.kv_heads);
  let n = moves[share];
  for (var m = group.x; m < n; m += groups.x) {
    let source = moves[share + 1u + 2u * m];
    let slot = moves[share + 2u + 2u * m];
    let page = tables[page_entry(row, slot)];
    if (source >= CHUNK_SOURCE) {
      take_row(kv_head, source - CHUNK_SOURCE, page, slot, thread);
    } else {
      let home = tables[page_entry(row, source)];
      for (var w = thread; w < PAGES_VECTOR_WORDS; w += THREADS) {
        pages[pages_key_word(page, slot) + w] = pages[pages_key_word(home, source) + w];
        pages[pages_value_word(page, slot) + w] = pages[pages_value_word(home, source) + w];
      }
      if (thread == 0u) {
        if (PAGES_SCALED) { pages[pages_scale_word(page, slot)] = pages[pages_scale_word(home, source)]; }
        pages[pages_position_word(page, slot)] = pages[pages_position_word(home, source)];
        pages[pages_score_word(page, slot)] = pages[pages_score_word(home, source)];
      }
    }
  }
}
