// What parts of a score (score_parts) are measured against: directions and channels of a prompt's candidates, all
// together. One workgroup per kv head.
// Needs: HEAD_DIM (a multiple of 16), PAGE_SLOTS, WORKGROUP, HEAD_STRIDE, CONTEXT, SHARED (0), NOVELTY; lib/candidates_*. Workgroups: (1, G).
// Bytes: a candidate's key twice (its length; then itself, threads sharing it), its value once. Workgroup memory: 5
// WORKGROUP + 6 D f32.
// Tested in kernels/scoring/score-cache.
//: import scoring/lib/joined
//: import scoring/lib/score_anchors

// Means and deviations of the values' channels, as find_anchors leaves those of keys.
fn find_value_channels(t: u32, h: Head) {
  let o = t % HALF_OCTETS;
  let share = t / HALF_OCTETS;
  let origin = value_pairs(candidate_at(h.total / 2u, h.count, h.row, h.kv_head), o);
  var distances: Pairs;
  var squares: Pairs;
  let end = select(0u, h.total, share < SHARES);
  for (var i = share; i < end; i += SHARES) {
    let c = candidate_at(i, h.count, h.row, h.kv_head);
    let x = add_scaled(value_pairs(c, o), origin, -1.0);
    distances = add_scaled(distances, x, 1.0);
    squares = add_scaled(squares, multiplied(x, x), 1.0);
  }
  leave_channels(t, h.total, 1u, origin, distances, squares);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let h = head_of(group.z, group.y);
  if (h.total == 0u) { return; }
  find_anchors(t, h);
  find_value_channels(t, h);
  workgroupBarrier();
  let at = joined_at(h.kv_head);
  for (var i = t; i < CONTEXT_QUADS; i += WORKGROUP) { joined[at + i] = sh_vectors[i]; }
}
