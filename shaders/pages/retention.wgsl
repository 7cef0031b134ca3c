// How many kv heads still hold each position: adds those of one layer and lane to `counts`.
//
// Grid: (workgroups that share the slots, G). Needs lib/page_slots.wgsl for `pages`.
//: import lib/paging

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> lane: vec4<u32>;  // .x; the rest is not looked at
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> pages: array<u32>;
@group(0) @binding(4) var<storage, read_write> counts: array<atomic<u32>>;

const THREADS = 128u;

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = table_row(shape, lane.x, group.y);
  let count = tables[row];
  for (var slot = group.x * THREADS + thread; slot < count; slot += groups.x * THREADS) {
    let page = tables[page_entry(row, slot)];
    let position = pages[pages_position_word(page, slot)];
    if (position < arrayLength(&counts)) { atomicAdd(&counts[position], 1u); }
  }
}
