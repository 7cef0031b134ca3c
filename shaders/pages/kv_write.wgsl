// Rotates the queries and keys of M rows, scores each key, and writes key, value, position and score.
// Needs: HEAD_DIM, PAGE_SLOTS, lib/pages_STORAGE.wgsl for `pages` (write words), WORKGROUP and SUMMED (powers of two; SUMMED: of those
// invocations, how many hold a part of a head's sums), QK_NORM (RMSNorm of each query and key head, with
// EPSILON, before its gains), gain_of (1 where heads have no gains), RING, and APPEND:
//   true   decoding: into the lane's cache. Below capacity the next free slot is taken; at capacity the
//          lowest-scoring unprotected slot is overwritten (ties: lowest position), before attention: the
//          order of the Q-Filters reference. Nothing is moved and nothing is read back. Where the lane remembers, the
//          pair that goes is added to the head's remainder.
//          With RING (a layer with a sliding window) the slot is position % capacity: the oldest one's.
//   false  a prompt chunk: into the block's scratch, block row b of kv head g at page g * chunk_pages + b / P.
// Needs lib/victim.wgsl too. Workgroups: (H + G, M): one a (head, row); query heads first. The rows of one APPEND
// dispatch belong to different lanes. Bytes: the row's q, k, v once; at capacity also C * 8 bytes of positions and
// scores a kv head.
//: import lib/paging
//: import pages/lib/remember
//: import pages/lib/shared_key
//: import lib/rope
//: import lib/score

const HALF_DIM = HEAD_DIM / 2u;

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> qkv: array<f32>; // [M, (H + 2G) D]; queries turn in place
@group(0) @binding(3) var<storage, read_write> pages: array<u32>;
@group(0) @binding(4) var<storage, read_write> tables: array<u32>;
@group(0) @binding(5) var<storage, read> lanes: array<Lane>;
@group(0) @binding(6) var<storage, read> filters: array<f32>; // [L, G, D]
@group(0) @binding(7) var<storage, read> rope_table: array<vec2<f32>>;

var<workgroup> sh_a: array<f32, SUMMED>; // partial sums
var<workgroup> sh_b: array<f32, SUMMED>;
var<workgroup> sh_most: array<vec2<f32>, SUMMED>; // largest |key| and |value|, where PAGES_SCALED
var<workgroup> sh_keep: f32;
var<workgroup> sh_count: u32;
var<workgroup> sh_slot: u32;
var<workgroup> sh_capacity: u32;

// The factor by which QK_NORM multiplies the head at `base`, before its gain.
fn norm_scale(t: u32, base: u32) -> f32 {
  var squares = 0.0;
  for (var i = t; i < HEAD_DIM; i += WORKGROUP) { squares += qkv[base + i] * qkv[base + i]; }
  if (t < SUMMED) { sh_a[t] = squares; }
  for (var stride = SUMMED / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) { sh_a[t] += sh_a[t + stride]; }
  }
  workgroupBarrier();
  let scale = inverseSqrt(sh_a[0] / f32(HEAD_DIM) + EPSILON);
  workgroupBarrier();
  return scale;
}

// Dimensions i and i + D/2 of the head at `base`, normalised and turned. `gain` is 0 for queries, D for keys.
fn turned_pair(base: u32, i: u32, scale: f32, gain: u32, position: u32) -> vec2<f32> {
  var pair = vec2<f32>(qkv[base + i], qkv[base + i + HALF_DIM]);
  pair *= scale * vec2<f32>(gain_of(gain + i), gain_of(gain + i + HALF_DIM));
  return rope_turn(pair, rope_angle(position, i));
}

fn value_octet(i: u32) -> Octet {
  return Octet(
    vec4<f32>(qkv[i], qkv[i + 1u], qkv[i + 2u], qkv[i + 3u]),
    vec4<f32>(qkv[i + 4u], qkv[i + 5u], qkv[i + 6u], qkv[i + 7u]),
  );
}

// Adds the pair in a slot to what the head has dropped.
fn remember(t: u32, table: u32, slot: u32) {
  let page = tables[page_entry(table, slot)];
  let at = remainder_of(shape, table);
  if (t == 0u) { sh_keep = remainder_fading(remainder_count(at), 1.0); }
  let keep = workgroupUniformLoad(&sh_keep);
  let scales = pages_scales(pages_scale_word(page, slot));
  for (var o = t; o < OCTETS_A_VECTOR; o += WORKGROUP) {
    let unit = o * PAGES_OCTET_UNITS;
    remainder_add_octet(at + 1u + 8u * o, keep, pages_octet(pages_key(page, slot) + unit), scales.x);
    remainder_add_octet(at + 1u + HEAD_DIM + 8u * o, keep, pages_octet(pages_value(page, slot) + unit), scales.y);
  }
  if (t == 0u) { remainder_add(at, keep, 1.0); }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let r = group.y;
  let row = rows[r];
  let width = (shape.heads + 2u * shape.kv_heads) * HEAD_DIM;
  let base = r * width + group.x * HEAD_DIM;
  let lane = lanes[row.lane];
  let standing = rope_position(row.position, lane.folds, shape.stride);

  var scale = 1.0;
  if (QK_NORM) { scale = norm_scale(t, base); }
  if (group.x < shape.heads) {
    for (var i = t; i < HALF_DIM; i += WORKGROUP) {
      let turned = turned_pair(base, i, scale, 0u, standing);
      qkv[base + i] = turned.x;
      qkv[base + i + HALF_DIM] = turned.y;
    }
    return;
  }

  let kv_head = group.x - shape.heads;
  let filter_base = (shape.layer * shape.kv_heads + kv_head) * HEAD_DIM;
  var dot_sum = 0.0;
  var square_sum = 0.0;
  let value_base = base + shape.kv_heads * HEAD_DIM;
  var most = vec2<f32>();
  for (var i = t; i < HALF_DIM; i += WORKGROUP) {
    let turned = turned_pair(base, i, scale, HEAD_DIM, standing);
    sh_key[i] = turned.x;
    sh_key[i + HALF_DIM] = turned.y;
    dot_sum += turned.x * filters[filter_base + i] + turned.y * filters[filter_base + i + HALF_DIM];
    square_sum += dot(turned, turned);
    if (PAGES_SCALED) {
      let value = abs(vec2<f32>(qkv[value_base + i], qkv[value_base + i + HALF_DIM]));
      most = max(most, vec2<f32>(max(abs(turned.x), abs(turned.y)), max(value.x, value.y)));
    }
  }
  if (t < SUMMED) {
    sh_a[t] = dot_sum;
    sh_b[t] = square_sum;
    if (PAGES_SCALED) { sh_most[t] = most; }
  }
  for (var stride = SUMMED / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) {
      sh_a[t] += sh_a[t + stride];
      sh_b[t] += sh_b[t + stride];
      if (PAGES_SCALED) { sh_most[t] = max(sh_most[t], sh_most[t + stride]); }
    }
  }
  workgroupBarrier();
  let head = shape.layer * shape.kv_heads + kv_head;
  let score = key_score(lane, sh_a[0], sqrt(sh_b[0]), row.position, head);

  var page: u32;
  var slot: u32;
  if (APPEND) {
    let table = table_row(shape, row.lane, kv_head);
    if (t == 0u) {
      sh_count = tables[table];
      sh_capacity = tables[table + 1u];
    }
    let count = workgroupUniformLoad(&sh_count);
    let capacity = workgroupUniformLoad(&sh_capacity);
    slot = count;
    if (RING) {
      slot = row.position % capacity;
    } else if (count >= capacity) {
      let victim = find_victim(t, table, count, lane, row.position);
      if (t == 0u) { sh_slot = victim; }
      slot = workgroupUniformLoad(&sh_slot);
      if (slot == NO_SLOT) { return; } // all protected: the host's checks keep this from happening
      if (lane.remembers != 0u) {
        remember(t, table, slot);
        workgroupBarrier();
      }
    }
    page = tables[page_entry(table, slot)];
    if (t == 0u && count < capacity) { tables[table] = count + 1u; }
  } else {
    slot = row.block_row;
    page = kv_head * shape.chunk_pages + slot / PAGE_SLOTS;
  }

  let scales = pages_scales_of(sh_most[0]);
  for (var o = t; o < OCTETS_A_VECTOR; o += WORKGROUP) {
    let at = o * PAGES_OCTET_UNITS;
    pages_write(pages_key(page, slot) + at, key_octet(8u * o), scales.x);
    pages_write(pages_value(page, slot) + at, value_octet(value_base + 8u * o), scales.y);
  }
  if (t == 0u) {
    pages_write_scales(pages_scale_word(page, slot), scales);
    pages[pages_position_word(page, slot)] = row.position;
    pages[pages_score_word(page, slot)] = bitcast<u32>(score);
  }
}
