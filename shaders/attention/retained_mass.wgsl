// Sums the weights that attention_weights left at positions over what the cache of each row of a step holds,
// for each query head. Caches that hold the same in the same slots have the same sum, to the bit.
// Needs: PAGE_SLOTS, GROUP (H / G), WORKGROUP (a power of two); lib/page_slots for `pages`.
// Workgroups: (H, R). Bytes: a position and a weight a slot and query head.
//: import lib/paging

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> pages: array<u32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>; // [H, positions]
@group(0) @binding(5) var<storage, read_write> sums: array<f32>; // [L, R, H]

var<workgroup> sh_sum: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let head = group.x;
  let row = table_row(shape, rows[group.y].lane, head / GROUP);
  let count = tables[row];
  let positions = arrayLength(&weights) / shape.heads;
  var sum = 0.0;
  for (var slot = t; slot < count; slot += WORKGROUP) {
    let position = pages[pages_position_word(tables[page_entry(row, slot)], slot)];
    if (position < positions) { sum += weights[head * positions + position]; }
  }
  sh_sum[t] = sum;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) { sh_sum[t] += sh_sum[t + stride]; }
  }
  if (t == 0u) { sums[(shape.layer * groups.y + group.y) * shape.heads + head] = sh_sum[0]; }
}
