// The parts of each score of a prompt's candidates, for score_join:
//   importance  as score_cache has it
//   novelty     -cos(key, mean of the unit keys), KeyDiff (arXiv 2504.15364), of keys as before RoPE
//   key spread, value spread
//               how far keys (as before RoPE) and values stray: root mean square over the channels of the distance
//               from the channel's mean over the candidates, in its deviations there. LagKV (arXiv 2504.04704) puts
//               a pair to the ranges of the chunk that follows instead
// Needs: what score_cache needs; score_context has run. Workgroups: (any, G): they share the candidates.
// Bytes: a key and a value a candidate, and its parts. Flops: 2 D a feature and candidate.
// Tested in kernels/scoring/score-cache.
//: import scoring/lib/joined
//: import scoring/lib/score_anchors
//: import scoring/lib/score_parts

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let h = head_of(group.z, group.y);
  if (h.total == 0u) { return; }
  let at = joined_at(h.kv_head);
  for (var i = t; i < CONTEXT_QUADS; i += WORKGROUP) { sh_vectors[i] = joined[at + i]; }
  if (MOVING) { turn_expected_queries(t, h); }
  workgroupBarrier();
  for (var i = group.x * WORKGROUP + t; i < h.total; i += groups.x * WORKGROUP) {
    joined[at + CONTEXT_QUADS + i] = parts_of(candidate_at(i, h.count, h.row, h.kv_head), h);
  }
}
