// Scores of all candidates of an eviction anew: scores that change with time, with what else is cached, or
// with the policy. One workgroup per kv head (and row of a step); scores are left where the candidates are.
//
// A score is what queries will look for: a sum of features times the head's coefficients (cache/policies), dot products
// with its calibrated vectors, norms, age, and -cos(key, mean of the unit keys of all candidates), KeyDiff (arXiv
// 2504.15364).
//
// Needs: HEAD_DIM (a multiple of 16), PAGE_SLOTS, WORKGROUP (64 or 256), HEAD_STRIDE, QUERIES, CONTEXT, SHARED, features;
// lib/candidates_*, lib/score_*. Workgroups: (1, G, rows of a step, or 1).
// Bytes: a key (and value) a candidate, read twice for the anchor and once for the score. Flops: 2 D a feature
// and candidate (D^2 for QUADRATIC). Workgroup memory: 5 WORKGROUP + (CONTEXT + SHARED) D f32, 16 KiB at most. There
// are only G workgroups, each bound by the latency of its loads: the more threads, the fewer rounds of them.
//: import scoring/lib/score_anchors
//: import scoring/lib/score_parts

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let h = head_of(group.z, group.y);
  if (h.total == 0u) { return; }
  if (MOVING) { turn_expected_queries(t, h); }
  if (NOVELTY) { find_anchors(t, h); }
  workgroupBarrier();
  for (var i = t; i < h.total; i += WORKGROUP) {
    let c = candidate_at(i, h.count, h.row, h.kv_head);
    set_candidate_score(c, parts_of(c, h).x);
  }
}
