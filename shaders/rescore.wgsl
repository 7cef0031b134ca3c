// Scores the cached keys of one layer and lane anew, after its policy changed: the same score as kv_write
// gives, from the key as stored (f16).
// Needs: HEAD_DIM, PAGE_SLOTS. Workgroups: (n, G), 64 threads, one a slot at a time. Bytes: 2 D + 8 a slot.

const WORKGROUP = 64u;

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> target_lane: vec4<u32>; // { lane, ... }: an eviction uniform will do
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;
@group(0) @binding(4) var<storage, read> filters: array<f32>; // [L, G, D]
@group(0) @binding(5) var<storage, read_write> pages: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let kv_head = group.y;
  let lane = lanes[target_lane.x];
  let table = table_row(shape, target_lane.x, kv_head);
  let head = shape.layer * shape.kv_heads + kv_head;
  for (var slot = group.x * WORKGROUP + t; slot < tables[table]; slot += groups.x * WORKGROUP) {
    let page = tables[table + 2u + slot / PAGE_SLOTS];
    let key = key_word(page, slot);
    var filter_dot = 0.0;
    var square = 0.0;
    for (var i = 0u; i < HALF_DIM; i += 1u) {
      let k = unpack2x16float(pages[key + i]);
      let f = head * HEAD_DIM + 2u * i;
      filter_dot += k.x * filters[f] + k.y * filters[f + 1u];
      square += dot(k, k);
    }
    let score = key_score(lane, filter_dot, sqrt(square), pages[position_word(page, slot)], head);
    pages[score_word(page, slot)] = bitcast<u32>(score);
  }
}
