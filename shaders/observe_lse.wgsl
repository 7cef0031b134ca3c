// ln of the sum of exp(logit) over all that a query sees, for the queries that `observe` observes: what turns
// its logits into attention.
// Needs: HEAD_DIM, PAGE_SLOTS, GROUP, WORKGROUP; lib/candidates_*, lib/logit. Workgroups: (queries, H, rows
// of a step, or 1). Bytes: a key a (query, head): fine for a few dozen queries, and no more.

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;
@group(0) @binding(4) var<storage, read> qkv: array<vec4<f32>>; // [M, (H + 2G) D], queries turned
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // [observed queries, H]

const LOWEST = -3.0e38;

var<workgroup> sh_max: array<f32, WORKGROUP>;
var<workgroup> sh_sum: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let work = work_of(group.z);
  let head = group.y;
  let kv_head = head / GROUP;
  let row = table_row(shape, work.lane, kv_head);
  let count = tables[row];
  let query = observed_query(group.z, group.x);
  if (!work.due) { return; }
  let visible = min(count + work.rows, count + query.sees);
  var wanted: array<vec4<f32>, QUADS>;
  let at = query_at(query.row, head);
  for (var d = 0u; d < QUADS; d += 1u) { wanted[d] = inverseSqrt(f32(HEAD_DIM)) * qkv[at + d]; }
  var highest = LOWEST;
  var sum = 0.0;
  for (var i = t; i < visible; i += WORKGROUP) {
    let c = candidate_at(i, count, row, kv_head);
    var x = 0.0;
    for (var o = 0u; o < OCTETS_A_VECTOR; o += 1u) {
      let k = candidate_key(c, o);
      x += dot(k.low, wanted[2u * o]) + dot(k.high, wanted[2u * o + 1u]);
    }
    x *= candidate_scales(c).x;
    let above = max(highest, x);
    sum = sum * exp(highest - above) + exp(x - above);
    highest = above;
  }
  sh_max[t] = highest;
  sh_sum[t] = sum;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) {
      let above = max(sh_max[t], sh_max[t + stride]);
      sh_sum[t] = sh_sum[t] * exp(sh_max[t] - above) + sh_sum[t + stride] * exp(sh_max[t + stride] - above);
      sh_max[t] = above;
    }
  }
  if (t == 0u) { lse[query.index * shape.heads + head] = sh_max[0] + log(sh_sum[0]); }
}
