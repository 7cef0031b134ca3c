// ln of the sum of exp(logit) over all that the query of a step's row sees, for `observe`: what turns its logits into
// attention. Of a prompt attention_prefill leaves it.
// Needs: HEAD_DIM, PAGE_SLOTS, GROUP, WORKGROUP; lib/candidates_*; loops written out by unroll: h < GROUP.
// Workgroups: (queries, G, rows of a step, or 1): a key is read and unpacked once for all query heads of its group.
// Bytes: a key a (query, kv head): fine for a few dozen queries, and no more. Queries come from the cache, all
// invocations at once.
// Tested in kernels/scoring/observe.
//: import lib/paging
//: import scoring/lib/logit

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;
@group(0) @binding(4) var<storage, read> qkv: array<vec4<f32>>; // [M, (H + 2G) D], queries turned
@group(0) @binding(5) var<storage, read_write> lse: array<f32>; // [M, H]


var<workgroup> sh_max: array<f32, WORKGROUP>;
var<workgroup> sh_sum: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let work = work_of(group.z);
  let kv_head = group.y;
  let row = table_row(shape, work.lane, kv_head);
  let count = tables[row];
  let query = observed_query(group.z, group.x);
  if (!work.due) { return; }
  let visible = min(count + work.rows, count + query.sees);
  let scale = inverseSqrt(f32(HEAD_DIM));
  //: for h
  let query$h = query_at(query.row, kv_head * GROUP + $hu);
  var highest$h = LOWEST;
  var sum$h = 0.0;
  //: end
  for (var i = t; i < visible; i += WORKGROUP) {
    let c = candidate_at(i, count, row, kv_head);
    //: for h
    var x$h = 0.0;
    //: end
    for (var o = 0u; o < OCTETS_A_VECTOR; o += 1u) {
      let k = candidate_key(c, o);
      //: for h
      x$h += dot(k.low, qkv[query$h + 2u * o]) + dot(k.high, qkv[query$h + 2u * o + 1u]);
      //: end
    }
    let key_scale = scale * candidate_scales(c).x;
    //: for h
    {
      let x = key_scale * x$h;
      let above = max(highest$h, x);
      sum$h = sum$h * exp(highest$h - above) + exp(x - above);
      highest$h = above;
    }
    //: end
  }
  //: for h
  // The sums of the head before are read by then.
  workgroupBarrier();
  sh_max[t] = highest$h;
  sh_sum[t] = sum$h;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) {
      let above = max(sh_max[t], sh_max[t + stride]);
      sh_sum[t] = sh_sum[t] * exp(sh_max[t] - above) + sh_sum[t + stride] * exp(sh_max[t + stride] - above);
      sh_max[t] = above;
    }
  }
  if (t == 0u) { lse[query.row * shape.heads + kv_head * GROUP + $hu] = sh_max[0] + log(sh_sum[0]); }
  //: end
}
