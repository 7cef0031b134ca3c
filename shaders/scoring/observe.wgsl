// The attention that each candidate of an eviction gets from the observed queries, mean over them and over the
// query group, as its score (SnapKV, arXiv 2404.14469), or with ACCUMULATE their sum added to it (H2O, arXiv
// 2306.14048).
// With POOL > 0 rows of the prompt block get the mean over themselves and POOL rows on either side. With
// PEAKS it is the most instead of the mean, of the group's heads and of the rows; with MOST, of the queries.
// Needs: HEAD_DIM, PAGE_SLOTS, GROUP, WORKGROUP, CANDIDATES (an invocation's), QUERIES (at a time), ACCUMULATE, POOL, PEAKS,
// MOST; lib/queries_* or lib/candidates_step, and `leave`, which takes the result.
// Workgroups: (ceil(candidates / (WORKGROUP CANDIDATES - 2 POOL)), G, rows of a step, or 1); `lse` comes from
// attention_prefill, of a step from observe_lse. Loops written out by unroll: c < CANDIDATES, n < QUERIES, h < GROUP,
// d < D / 4.
// Flops: 2 D a candidate, query and head, and an exp. Bytes: a key is read once, and held by its invocation. All
// invocations read the same queries, from the cache: a GPU once for all of them, a software adapter for each, so there an
// invocation has several candidates, and the sums' indices are written out.
//: import lib/paging
//: import scoring/lib/logit

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;
@group(0) @binding(4) var<storage, read> qkv: array<vec4<f32>>; // [M, (H + 2G) D], queries turned
@group(0) @binding(5) var<storage, read> lse: array<f32>; // [M, H]

const TILE = WORKGROUP * CANDIDATES;

var<workgroup> sh_mass: array<f32, TILE>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let work = work_of(group.z);
  let kv_head = group.y;
  let row = table_row(shape, work.lane, kv_head);
  let count = tables[row];
  let total = count + work.rows;
  if (!work.due) { return; }
  let step = TILE - 2u * POOL;
  let queries = observed_queries();
  for (var tile = group.x * step; tile < total; tile += groups.x * step) {
    //: for c
    let i$c = tile + t + $cu * WORKGROUP - POOL; // wraps below 0: not there
    let candidate$c = candidate_at(min(i$c, total - 1u), count, row, kv_head);
    let key$c = scaled_key(candidate$c);
    //: for h
    var of_head$c_$h = 0.0;
    //: end
    //: end
    for (var q = 0u; q < queries; q += QUERIES) {
      //: for n
      let query$n = observed_query(group.z, min(q + $nu, queries - 1u));
      let at$n = query_at(query$n.row, kv_head * GROUP);
      let whole$n = query$n.row * shape.heads + kv_head * GROUP;
      //: for h
      //: for c
      var logit$c_$n_$h = 0.0;
      //: end
      //: end
      //: end
      //: for d
      //: for n
      //: for h
      {
        let x = qkv[at$n + $hu * QUADS + $du];
        //: for c
        logit$c_$n_$h += dot(key$c[$d], x);
        //: end
      }
      //: end
      //: end
      //: end
      //: for n
      //: for c
      let seen$n_$c = q + $nu < queries && (i$c < count || i$c - count < query$n.sees);
      //: end
      //: for h
      {
        let whole = lse[whole$n + $hu];
        //: for c
        let attention$c = select(0.0, exp(logit$c_$n_$h - whole), seen$n_$c);
        if (MOST) { of_head$c_$h = max(of_head$c_$h, attention$c); } else { of_head$c_$h += attention$c; }
        //: end
      }
      //: end
      //: end
    }
    //: for c
    var mass$c = 0.0;
    //: for h
    if (!ACCUMULATE && !MOST) { of_head$c_$h /= f32(queries); }
    if (PEAKS) { mass$c = max(mass$c, of_head$c_$h); } else { mass$c += of_head$c_$h / f32(GROUP); }
    //: end
    sh_mass[t + $cu * WORKGROUP] = select(0.0, mass$c, i$c < total);
    //: end
    workgroupBarrier();
    for (var at = t; at < TILE; at += WORKGROUP) {
      let i = tile + at - POOL;
      if (at < POOL || at >= TILE - POOL || i >= total) { continue; }
      let c = candidate_at(i, count, row, kv_head);
      var sum = sh_mass[at];
      if (POOL > 0u && i >= count) {
        for (var d = 1u; d <= POOL; d += 1u) {
          let before = select(0.0, sh_mass[at - d], i - count >= d);
          let after = sh_mass[at + d]; // beyond the last row: 0
          if (PEAKS) { sum = max(sum, max(before, after)); } else { sum += before + after; }
        }
        if (!PEAKS) { sum /= f32(2u * POOL + 1u); }
      }
      if (ACCUMULATE) { sum += candidate_score(c); }
      leave(kv_head, i, c, sum);
    }
    workgroupBarrier();
  }
}
