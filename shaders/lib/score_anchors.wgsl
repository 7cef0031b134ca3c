// KeyDiff's anchors (arXiv 2504.15364), for score_cache. Needs: lib/score_pairs, Head, sh_tile; NOVELTY, PLAIN_NOVELTY.

// KeyDiff's anchor: the direction of the mean of all candidates' unit keys.
fn find_anchors(t: u32, h: Head) {
  let o = t % HALF_OCTETS;
  let share = t / HALF_OCTETS; // SHARES and above: threads left over
  var sum: Pairs;
  var plain: Pairs;
  for (var start = 0u; start < h.total; start += WORKGROUP) {
    if (start + t < h.total) {
      let c = candidate_at(start + t, h.count, h.row, h.kv_head);
      var square = 0.0;
      for (var i = 0u; i < HALF_OCTETS; i += 1u) { square += square_of(key_pairs(c, i)); }
      sh_tile[t] = inverseSqrt(max(square, TINY));
    }
    workgroupBarrier();
    let end = select(0u, min(WORKGROUP, h.total - start), share < SHARES);
    for (var i = share; i < end; i += SHARES) {
      let c = candidate_at(start + i, h.count, h.row, h.kv_head);
      let k = key_pairs(c, o);
      if (NOVELTY) { sum = add_scaled(sum, k, sh_tile[i]); }
      if (PLAIN_NOVELTY) { plain = add_scaled(plain, turned_back(k, candidate_position(c), o), sh_tile[i]); }
    }
    workgroupBarrier();
  }
  if (NOVELTY) {
    let all = sum_of_pairs(sum, t);
    if (t < HALF_OCTETS) { set_vector_pairs(ANCHOR, t, all); }
  }
  if (PLAIN_NOVELTY) {
    let all = sum_of_pairs(plain, t);
    if (t < HALF_OCTETS) { set_vector_pairs(PLAIN_ANCHOR, t, all); }
  }
}

// One over the anchors' lengths.
fn inverse_lengths() -> vec2<f32> {
  var squares = vec2<f32>();
  for (var o = 0u; o < HALF_OCTETS; o += 1u) {
    if (NOVELTY) { squares.x += square_of(vector_pairs(ANCHOR, o)); }
    if (PLAIN_NOVELTY) { squares.y += square_of(vector_pairs(PLAIN_ANCHOR, o)); }
  }
  return inverseSqrt(max(squares, vec2<f32>(TINY)));
}
