// KeyDiff's anchors (arXiv 2504.15364) and, with JOINED, the channels of keys, for score_cache and score_context: one pass
// over the keys gives them all. Needs: NOVELTY, JOINED.
//: import scoring/lib/score_pairs
//: import scoring/lib/score_spread

var<workgroup> sh_inverse: array<f32, WORKGROUP>; // one over a key's length

// Leaves the direction of the mean of all candidates' unit keys; with JOINED of keys as before RoPE too, and their
// channels' means and deviations, from distances to a candidate in the middle: the first of a prompt are unlike the
// others, and sums of squares must stay exact enough.
fn find_anchors(t: u32, h: Head) {
  let o = t % HALF_OCTETS;
  let share = t / HALF_OCTETS; // SHARES and above: threads left over
  var sum: Pairs;
  var plain: Pairs;
  var distances: Pairs;
  var squares: Pairs;
  var origin: Pairs;
  if (JOINED) { origin = plain_key_pairs(candidate_at(h.total / 2u, h.count, h.row, h.kv_head), h.lane, o); }
  for (var start = 0u; start < h.total; start += WORKGROUP) {
    if (start + t < h.total) {
      let c = candidate_at(start + t, h.count, h.row, h.kv_head);
      var square = 0.0;
      for (var i = 0u; i < HALF_OCTETS; i += 1u) { square += square_of(key_pairs(c, i)); }
      sh_inverse[t] = inverseSqrt(max(square, TINY));
    }
    workgroupBarrier();
    let end = select(0u, min(WORKGROUP, h.total - start), share < SHARES);
    for (var i = share; i < end; i += SHARES) {
      let c = candidate_at(start + i, h.count, h.row, h.kv_head);
      let k = key_pairs(c, o);
      if (NOVELTY) { sum = add_scaled(sum, k, sh_inverse[i]); }
      if (JOINED) {
        let before = turned_back(k, standing(h.lane, candidate_position(c)), o);
        plain = add_scaled(plain, before, sh_inverse[i]);
        let x = add_scaled(scaled(before, candidate_scales(c).x), origin, -1.0);
        distances = add_scaled(distances, x, 1.0);
        squares = add_scaled(squares, multiplied(x, x), 1.0);
      }
    }
    workgroupBarrier();
  }
  if (NOVELTY) { leave_direction(t, ANCHOR, sum); }
  if (JOINED) {
    leave_direction(t, PLAIN_ANCHOR, plain);
    leave_channels(t, h.total, 0u, origin, distances, squares);
  }
}

fn leave_direction(t: u32, vector: u32, sum: Pairs) {
  let all = sum_of_pairs(sum, t);
  var square = vec4<f32>();
  if (t < HALF_OCTETS) { square.x = square_of(all); }
  let inverse = inverseSqrt(max(sum_of_threads(t, square).x, TINY));
  if (t < HALF_OCTETS) { set_vector_pairs(vector, t, scaled(all, inverse)); }
}
