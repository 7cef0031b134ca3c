// Stands in for evict_select if nothing has to go: every row of the chunk stays, in the next free slots, in order.
// A first prompt needs no more, and this compiles in a tenth of its time.
//
// One workgroup per kv head, which must have room. 8 bytes per row written, nothing of the chunk read.
// Tested in kernels/pages/evict-select.
//: import lib/paging
//: import pages/lib/eviction

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> eviction: Eviction;
@group(0) @binding(2) var<storage, read_write> tables: array<u32>;
// The same as evict_select's: a kv head's share is [n, then n times source, destination].
@group(0) @binding(3) var<storage, read_write> moves: array<u32>;

const THREADS = 64u;

var<workgroup> head: u32;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = table_row(shape, eviction.lane, group.x);
  let share = group.x * (arrayLength(&moves) / shape.kv_heads);
  if (thread == 0u) { head = tables[row]; }
  let count = workgroupUniformLoad(&head);
  for (var r = thread; r < eviction.rows; r += THREADS) {
    moves[share + 1u + 2u * r] = CHUNK_SOURCE | r;
    moves[share + 2u + 2u * r] = count + r;
  }
  if (thread == 0u) {
    moves[share] = eviction.rows;
    tables[row] = count + eviction.rows;
  }
}
