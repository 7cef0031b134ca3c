// Adds the pairs of a kv head's cache and of the prompt block to what the head has dropped, before the block is taken in;
// with AFTER, takes those of the cache out of it again, after that: what was dropped in between is left.
// Needs: HEAD_DIM, PAGE_SLOTS, WORKGROUP (a power of two), AFTER; lib/candidates_block.
// Workgroups: (2 D / 8, G): one an octet of the keys, or of the values.
// Bytes: a key and a value a candidate. Few invocations, each bound by the latency of its loads: so many a head.
// Tested in kernels/pages/remember-block.
//: import lib/paging
//: import pages/lib/remember

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(2) var<storage, read_write> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;

var<workgroup> sh_low: array<vec4<f32>, WORKGROUP>;
var<workgroup> sh_high: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let work = work_of(0u);
  let kv_head = group.y;
  let row = table_row(shape, work.lane, kv_head);
  let count = tables[row];
  var total = count;
  if (!AFTER) { total += work.rows; }
  let of_keys = group.x < OCTETS_A_VECTOR;
  let octet = group.x % OCTETS_A_VECTOR;
  var sum: Octet;
  for (var i = t; i < total; i += WORKGROUP) {
    let c = candidate_at(i, count, row, kv_head);
    let scales = candidate_scales(c);
    if (of_keys) {
      let x = candidate_key(c, octet);
      sum = Octet(sum.low + scales.x * x.low, sum.high + scales.x * x.high);
    } else {
      let x = candidate_value(c, octet);
      sum = Octet(sum.low + scales.y * x.low, sum.high + scales.y * x.high);
    }
  }
  sh_low[t] = sum.low;
  sh_high[t] = sum.high;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) {
      sh_low[t] += sh_low[t + stride];
      sh_high[t] += sh_high[t + stride];
    }
  }
  if (t > 0u || lanes[work.lane].remembers == 0u) { return; }
  let remainder = remainder_of(shape, row);
  let sums = remainder + 1u + 8u * group.x;
  let all = remainder + 1u + 2u * HEAD_DIM;
  if (AFTER) {
    remainder_add_octet(sums, 1.0, Octet(sh_low[0], sh_high[0]), -1.0);
    if (group.x > 0u) { return; }
    let dropped = bitcast<f32>(tables[all]) - f32(count);
    remainder_add(remainder, remainder_fading(remainder_count(remainder), dropped), dropped);
    return;
  }
  // Every workgroup reads n, so it changes afterwards.
  let capacity = tables[row + 1u];
  let dropped = f32(total - min(total, capacity));
  let keep = remainder_fading(remainder_count(remainder), dropped);
  remainder_add_octet(sums, keep, Octet(sh_low[0], sh_high[0]), 1.0);
  if (group.x == 0u) { tables[all] = bitcast<u32>(f32(total)); }
}
