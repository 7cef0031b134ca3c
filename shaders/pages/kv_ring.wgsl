// Takes a prompt chunk into the ring of a layer with a sliding window: row r goes to slot position % capacity,
// where it replaces what has left the window. Of a chunk longer than the ring only the last rows are taken.
//
// Grid: (workgroups that share the rows, G). Bytes: a slot per row and kv head, read and written.
// Needs lib/page_slots.wgsl for `pages` and `chunk`.
//: import lib/paging
//: import pages/lib/eviction
//: import pages/lib/take_row

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> eviction: Eviction;
@group(0) @binding(2) var<storage, read> chunk: array<u32>;
@group(0) @binding(3) var<storage, read_write> tables: array<u32>;
@group(0) @binding(4) var<storage, read_write> pages: array<u32>;

const THREADS = 64u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let kv_head = group.y;
  let row = table_row(shape, eviction.lane, kv_head);
  let capacity = tables[row + 1u];
  let start = eviction.last + 1u - eviction.rows;
  let skipped = select(0u, eviction.rows - capacity, eviction.rows > capacity);
  for (var r = skipped + group.x; r < eviction.rows; r += groups.x) {
    let slot = (start + r) % capacity;
    let page = tables[page_entry(row, slot)];
    take_row(kv_head, r, page, slot, thread);
  }
  // Nobody reads the count here: the ring is full from the first chunk that reaches its end on.
  if (thread == 0u && group.x == 0u) { tables[row] = min(capacity, start + eviction.rows); }
}
