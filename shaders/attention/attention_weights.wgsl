// The attention that a step's first row pays to its own cache, but for the division by its sum: exp(logit - highest)
// of each query head, left at the position of each token. retained_mass adds it up.
// Needs: HEAD_DIM, PAGE_SLOTS, GROUP (H / G), WORKGROUP (a power of two); lib/page_slots for `pages`, read by words.
// Workgroups: (H). Bytes: a key a slot and query head; 2 D flops each and an exp. For evaluation, once in dozens of
// steps: one workgroup per head leaves most of a GPU idle, and does no harm there.
// Tested in kernels/attention/retained-mass.
//: import lib/paging

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4<f32>>; // [M, (H + 2G) D], queries turned
@group(0) @binding(4) var<storage, read> pages: array<u32>;
@group(0) @binding(5) var<storage, read_write> weights: array<f32>; // [H, positions]

const QUADS = HEAD_DIM / 4u;

var<workgroup> sh_max: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let head = group.x;
  let row = table_row(shape, rows[0].lane, head / GROUP);
  let count = tables[row];
  let positions = arrayLength(&weights) / shape.heads;
  var query: array<vec4<f32>, QUADS>;
  for (var d = 0u; d < QUADS; d += 1u) { query[d] = inverseSqrt(f32(HEAD_DIM)) * qkv[head * QUADS + d]; }
  var highest = LOWEST;
  for (var slot = t; slot < count; slot += WORKGROUP) {
    let page = tables[page_entry(row, slot)];
    var logit = 0.0;
    for (var o = 0u; o < OCTETS_A_VECTOR; o += 1u) {
      let k = pages_octet(pages_key(page, slot) + o * PAGES_OCTET_UNITS);
      logit += dot(k.low, query[2u * o]) + dot(k.high, query[2u * o + 1u]);
    }
    logit *= pages_scales(pages_scale_word(page, slot)).x;
    highest = max(highest, logit);
    let position = pages[pages_position_word(page, slot)];
    if (position < positions) { weights[head * positions + position] = logit; }
  }
  sh_max[t] = highest;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) { sh_max[t] = max(sh_max[t], sh_max[t + stride]); }
  }
  workgroupBarrier();
  highest = sh_max[0];
  // Each invocation meets what it has written itself.
  for (var slot = t; slot < count; slot += WORKGROUP) {
    let position = pages[pages_position_word(tables[page_entry(row, slot)], slot)];
    if (position >= positions) { continue; }
    let at = head * positions + position;
    weights[at] = exp(weights[at] - highest);
  }
}
