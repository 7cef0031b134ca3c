// Turns the keys of one layer and lane from where they stood before the lane's latest fold to where they stand now
// (rope_position). A key is turned at most once as a recent one and log2(2 S) times as an old one, since halved positions end
// at 0: what rounding adds stays bounded, also in pages of bytes. What a head has dropped (the remainder) is recent, and is turned by S.
//
// Needs: HEAD_DIM, PAGE_SLOTS, WORKGROUP, SUMMED as in kv_write; lib/page_slots for `pages` (read words, write words).
// Workgroups: (those that share the slots, G). Bytes: a key a slot, read and written, once in S tokens.
//: import lib/paging
//: import lib/rope
//: import pages/lib/remember
//: import pages/lib/shared_key

const HALF_DIM = HEAD_DIM / 2u;

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> lane: vec4<u32>; // .x; the rest is not looked at
@group(0) @binding(2) var<storage, read> lanes: array<Lane>;
@group(0) @binding(3) var<storage, read_write> tables: array<u32>;
@group(0) @binding(4) var<storage, read_write> pages: array<u32>;
@group(0) @binding(5) var<storage, read> rope_table: array<vec2<f32>>;

var<workgroup> sh_count: u32;
var<workgroup> sh_by: u32; // positions by which a slot's key is turned back
var<workgroup> sh_most: array<f32, SUMMED>; // largest |key|, where PAGES_SCALED

fn put_octet(i: u32, x: Octet, scale: f32) {
  for (var d = 0u; d < 4u; d += 1u) {
    sh_key[i + d] = scale * x.low[d];
    sh_key[i + 4u + d] = scale * x.high[d];
  }
}

// (x[i], x[i + D/2]) turned back by so many positions.
fn turned_back(x: vec2<f32>, by: u32, i: u32) -> vec2<f32> {
  let angle = rope_angle(by, i);
  return rope_turn(x, vec2<f32>(angle.x, -angle.y));
}

// Turns the key in a slot back. Every invocation must call it with the same arguments.
fn turn_slot(t: u32, page: u32, slot: u32, by: u32) {
  let scales = pages_scales(pages_scale_word(page, slot));
  for (var o = t; o < OCTETS_A_VECTOR; o += WORKGROUP) {
    put_octet(8u * o, pages_octet(pages_key(page, slot) + o * PAGES_OCTET_UNITS), scales.x);
  }
  workgroupBarrier();
  var most = 0.0;
  for (var i = t; i < HALF_DIM; i += WORKGROUP) {
    let turned = turned_back(vec2<f32>(sh_key[i], sh_key[i + HALF_DIM]), by, i);
    sh_key[i] = turned.x;
    sh_key[i + HALF_DIM] = turned.y;
    most = max(most, max(abs(turned.x), abs(turned.y)));
  }
  if (PAGES_SCALED) {
    if (t < SUMMED) { sh_most[t] = most; }
    for (var half = SUMMED / 2u; half > 0u; half /= 2u) {
      workgroupBarrier();
      if (t < half) { sh_most[t] = max(sh_most[t], sh_most[t + half]); }
    }
  }
  workgroupBarrier();
  let scale = pages_scales_of(vec2<f32>(sh_most[0])).x;
  for (var o = t; o < OCTETS_A_VECTOR; o += WORKGROUP) {
    pages_write(pages_key(page, slot) + o * PAGES_OCTET_UNITS, key_octet(8u * o), scale);
  }
  if (t == 0u) { pages_write_scales(pages_scale_word(page, slot), vec2<f32>(scale, scales.y)); }
  workgroupBarrier();
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = table_row(shape, lane.x, group.y);
  if (t == 0u) { sh_count = tables[row]; }
  let count = workgroupUniformLoad(&sh_count);
  let folds = lanes[lane.x].folds;
  for (var slot = group.x; slot < count; slot += groups.x) {
    let page = tables[page_entry(row, slot)];
    if (t == 0u) {
      let position = pages[pages_position_word(page, slot)];
      sh_by = rope_position(position, folds - 1u, shape.stride) - rope_position(position, folds, shape.stride);
    }
    let by = workgroupUniformLoad(&sh_by);
    if (by > 0u) { turn_slot(t, page, slot, by); }
  }
  if (group.x > 0u || lanes[lane.x].remembers == 0u) { return; }
  let keys = remainder_of(shape, row) + 1u;
  for (var i = t; i < HALF_DIM; i += WORKGROUP) {
    let sum = vec2<f32>(bitcast<f32>(tables[keys + i]), bitcast<f32>(tables[keys + i + HALF_DIM]));
    let turned = turned_back(sum, shape.stride, i);
    tables[keys + i] = bitcast<u32>(turned.x);
    tables[keys + i + HALF_DIM] = bitcast<u32>(turned.y);
  }
}
