// The attention that each candidate of an eviction gets from the observed queries, mean over them and over the
// query group, as its score (SnapKV, arXiv 2404.14469), or with ACCUMULATE their sum added to it (H2O, arXiv
// 2306.14048).
// With POOL > 0 rows of the prompt block get the mean over themselves and POOL rows on either side. With
// PEAKS it is the most instead of the mean, of the group's heads and of the rows.
// Needs: HEAD_DIM, PAGE_SLOTS, GROUP, WORKGROUP, ACCUMULATE, POOL, PEAKS; lib/candidates_*, lib/logit, and `leave`,
// which takes the result.
// Workgroups: (ceil(candidates / (WORKGROUP - 2 POOL)), G, rows of a step, or 1); `lse` comes from attention_prefill, of a
// step from observe_lse. Loops written out by unroll: h < GROUP, n < 2.
// Bytes: a key a candidate, held by its invocation; every two queries read it once for all heads of the group, and the
// queries come from the cache, the same for all invocations. Flops: 2 D a candidate, query and head, and an exp.

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;
@group(0) @binding(4) var<storage, read> qkv: array<vec4<f32>>; // [M, (H + 2G) D], queries turned
@group(0) @binding(5) var<storage, read> lse: array<f32>; // [M, H]

var<workgroup> sh_mass: array<f32, WORKGROUP>;

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
  let step = WORKGROUP - 2u * POOL;
  for (var tile = group.x * step; tile < total; tile += groups.x * step) {
    let i = tile + t - POOL; // wraps below 0: not there
    var mass = 0.0;
    if (i < total) {
      let key = scaled_key(candidate_at(i, count, row, kv_head));
      let queries = observed_queries();
      //: for h
      var of_head$h = 0.0;
      //: end
      for (var q = 0u; q < queries; q += 2u) {
        //: for n
        let query$n = observed_query(group.z, min(q + $nu, queries - 1u));
        let seen$n = q + $nu < queries && (i < count || i - count < query$n.sees);
        let at$n = query_at(query$n.row, kv_head * GROUP);
        let whole$n = query$n.row * shape.heads + kv_head * GROUP;
        //: for h
        var logit$n_$h = 0.0;
        //: end
        //: end
        for (var d = 0u; d < QUADS; d += 1u) {
          let k = key[d];
          //: for n
          //: for h
          logit$n_$h += dot(k, qkv[at$n + $hu * QUADS + d]);
          //: end
          //: end
        }
        //: for n
        //: for h
        of_head$h += select(0.0, exp(logit$n_$h - lse[whole$n + $hu]), seen$n);
        //: end
        //: end
      }
      //: for h
      if (!ACCUMULATE) { of_head$h /= f32(queries); }
      if (PEAKS) { mass = max(mass, of_head$h); } else { mass += of_head$h / f32(GROUP); }
      //: end
    }
    sh_mass[t] = mass;
    workgroupBarrier();
    if (t >= POOL && t < WORKGROUP - POOL && i < total) {
      let c = candidate_at(i, count, row, kv_head);
      var sum = sh_mass[t];
      if (POOL > 0u && i >= count) {
        for (var d = 1u; d <= POOL; d += 1u) {
          let before = select(0.0, sh_mass[t - d], i - count >= d);
          let after = sh_mass[t + d]; // beyond the last row: 0
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
