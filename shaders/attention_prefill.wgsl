// Causal attention of a prompt chunk over the lane's cache and over the prompt block it lies in, itself
// included (flash attention).
// Needs: HEAD_DIM, PAGE_SLOTS, lib/pages_STORAGE.wgsl for `pages` and `chunk` (read units), GROUP, TILE (keys
// staged at once; 2 * TILE * D f32 of workgroup memory), and
// WINDOW: 0, or the number of tokens a row sees, itself included; the cache is then a ring of WINDOW slots.
// Workgroups: (ceil(M GROUP / 64), G), one thread a (row, query head of the group): all 64 threads use the
// same keys, staged once as f32 in workgroup memory, so each K and V word is unpacked once for 64 queries.
// Every cached pair is in the past of every row of the block; inside the block, row b sees rows <= b. Rows of a
// chunk follow one another: row r of the chunk is row rows[0].block_row + r of the block.
// Bytes: a key and a value (4 D in f16) a kv head and 64 queries; 4 D fma a (query, key).

const WORKGROUP = 64u;
const QUADS = HEAD_DIM / 4u;
const LOWEST = -3.0e38;
const FORBIDDEN = -3.2e38;

struct Batch { rows: u32, first: u32, splits: u32, heads: u32 }

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4<f32>>; // [M, (H + 2G) D]
@group(0) @binding(4) var<storage, read> pages: array<pages_unit>;
@group(0) @binding(5) var<storage, read> chunk: array<chunk_unit>;
@group(0) @binding(6) var<storage, read> tables: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>; // [M, H, D]

var<workgroup> sh_key: array<vec4<f32>, TILE * QUADS>;
var<workgroup> sh_value: array<vec4<f32>, TILE * QUADS>;

struct State {
  highest: f32,
  sum: f32,
  query: array<vec4<f32>, QUADS>,
  acc: array<vec4<f32>, QUADS>,
}

fn stage(i: u32, key: Octet, value: Octet, scales: vec2<f32>) {
  sh_key[2u * i] = scales.x * key.low;
  sh_key[2u * i + 1u] = scales.x * key.high;
  sh_value[2u * i] = scales.y * value.low;
  sh_value[2u * i + 1u] = scales.y * value.high;
}

// Tokens between slot `slot` of a ring and row 0 of the block: it holds the newest position that is `slot`
// modulo WINDOW.
fn ring_age(slot: u32) -> u32 {
  return (rows[0].position - rows[0].block_row - 1u - slot) % max(WINDOW, 1u);
}

// Whether block row r is near enough to slot or block row `key` (which is in its past).
fn near(r: u32, key: u32, cached: bool) -> bool {
  if (cached) { return r + 1u + ring_age(key) < WINDOW; }
  return r - key < WINDOW;
}

// Attends to the first `visible` keys of the staged tile, which begins at slot or block row `first`.
fn attend(state: ptr<function, State>, visible: u32, r: u32, first: u32, cached: bool) {
  var scores: array<f32, TILE>;
  var highest = (*state).highest;
  for (var k = 0u; k < visible; k += 1u) {
    var sum = vec4<f32>();
    for (var i = 0u; i < QUADS; i += 1u) { sum = fma((*state).query[i], sh_key[k * QUADS + i], sum); }
    scores[k] = sum.x + sum.y + sum.z + sum.w;
    if (WINDOW > 0u && !near(r, first + k, cached)) { scores[k] = FORBIDDEN; }
    highest = max(highest, scores[k]);
  }
  let rescale = exp((*state).highest - highest);
  (*state).highest = highest;
  (*state).sum *= rescale;
  for (var i = 0u; i < QUADS; i += 1u) { (*state).acc[i] *= rescale; }
  for (var k = 0u; k < visible; k += 1u) {
    var weight = exp(scores[k] - highest);
    if (WINDOW > 0u) { weight = select(weight, 0.0, scores[k] == FORBIDDEN); }
    (*state).sum += weight;
    for (var i = 0u; i < QUADS; i += 1u) {
      (*state).acc[i] = fma(vec4<f32>(weight), sh_value[k * QUADS + i], (*state).acc[i]);
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let kv_head = group.y;
  let index = group.x * WORKGROUP + t;
  let r = index / GROUP;
  let head = kv_head * GROUP + index % GROUP;
  let live = r < batch.rows;
  let block_row = rows[0].block_row + r;
  let table = table_row(shape, rows[0].lane, kv_head);
  let count = tables[table];

  var state: State;
  state.highest = LOWEST;
  if (live) {
    let query = (r * (shape.heads + 2u * shape.kv_heads) + head) * QUADS;
    let scale = inverseSqrt(f32(HEAD_DIM));
    for (var i = 0u; i < QUADS; i += 1u) { state.query[i] = scale * qkv[query + i]; }
  }

  for (var start = 0u; start < count; start += TILE) {
    for (var i = t; i < TILE * OCTETS_A_VECTOR; i += WORKGROUP) {
      let slot = start + i / OCTETS_A_VECTOR;
      if (slot < count) {
        let page = tables[table + 2u + slot / PAGE_SLOTS];
        let at = i % OCTETS_A_VECTOR * PAGES_OCTET_UNITS;
        stage(
          i,
          pages_octet(pages_key(page, slot) + at),
          pages_octet(pages_value(page, slot) + at),
          pages_scales(pages_scale_word(page, slot)),
        );
      }
    }
    workgroupBarrier();
    if (live) { attend(&state, min(TILE, count - start), block_row, start, true); }
    workgroupBarrier();
  }

  // The last block row of this workgroup.
  let last = rows[0].block_row + min((group.x * WORKGROUP + WORKGROUP - 1u) / GROUP, batch.rows - 1u);
  for (var start = 0u; start <= last; start += TILE) {
    for (var i = t; i < TILE * OCTETS_A_VECTOR; i += WORKGROUP) {
      let row = start + i / OCTETS_A_VECTOR;
      if (row <= last) {
        let page = kv_head * shape.chunk_pages + row / PAGE_SLOTS;
        let at = i % OCTETS_A_VECTOR * CHUNK_OCTET_UNITS;
        stage(
          i,
          chunk_octet(chunk_key(page, row) + at),
          chunk_octet(chunk_value(page, row) + at),
          chunk_scales(chunk_scale_word(page, row)),
        );
      }
    }
    workgroupBarrier();
    if (live && block_row >= start) { attend(&state, min(TILE, block_row - start + 1u), block_row, start, false); }
    workgroupBarrier();
  }

  if (live) {
    let inverse = 1.0 / state.sum;
    for (var i = 0u; i < QUADS; i += 1u) { out[(r * shape.heads + head) * QUADS + i] = state.acc[i] * inverse; }
  }
}
