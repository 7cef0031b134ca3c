// Scores the cached keys of one layer and lane anew, after its policy changed: the same score as kv_write
// gives, from the key as stored.
// Needs: HEAD_DIM, PAGE_SLOTS, lib/pages_STORAGE.wgsl for `pages` (read words). Workgroups: (n, G), 64 threads,
// one a slot at a time. Bytes: a key, position and score a slot.

const WORKGROUP = 64u;

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> target_lane: vec4<u32>; // { lane, ... }: an eviction uniform will do
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;
@group(0) @binding(4) var<storage, read> filters: array<f32>; // [L, G, D]
@group(0) @binding(5) var<storage, read_write> pages: array<u32>;

fn filter_quad(i: u32) -> vec4<f32> {
  return vec4<f32>(filters[i], filters[i + 1u], filters[i + 2u], filters[i + 3u]);
}

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
    let key = pages_key(page, slot);
    var filter_dot = 0.0;
    var square = 0.0;
    for (var o = 0u; o < OCTETS_A_VECTOR; o += 1u) {
      let k = pages_octet(key + o * PAGES_OCTET_UNITS);
      let f = head * HEAD_DIM + 8u * o;
      filter_dot += dot(k.low, filter_quad(f)) + dot(k.high, filter_quad(f + 4u));
      square += dot(k.low, k.low) + dot(k.high, k.high);
    }
    let scale = pages_scales(pages_scale_word(page, slot)).x;
    let position = pages[pages_position_word(page, slot)];
    let score = key_score(lane, scale * filter_dot, scale * sqrt(square), position, head);
    pages[pages_score_word(page, slot)] = bitcast<u32>(score);
  }
}
