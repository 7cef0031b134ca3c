// How far keys and values stray, for score_cache. Needs: lib/score_pairs, Head.

// Mean and deviation of each channel over all candidates, from a candidate's distance to one in their middle: the
// first of a prompt are unlike the others, and sums of squares must stay exact enough.
fn find_channels(t: u32, h: Head) {
  let o = t % HALF_OCTETS;
  let share = t / HALF_OCTETS; // SHARES and above: threads left over
  let total = f32(h.total);
  for (var of_values = 0u; of_values < 2u; of_values += 1u) {
    let origin = plain_pairs(candidate_at(h.total / 2u, h.count, h.row, h.kv_head), of_values, o);
    // Set to 0 in words: see quadratic_form.
    var sum = scaled(origin, 0.0);
    var squares = sum;
    let end = select(0u, h.total, share < SHARES);
    for (var i = share; i < end; i += SHARES) {
      let c = candidate_at(i, h.count, h.row, h.kv_head);
      let x = add_scaled(plain_pairs(c, of_values, o), origin, -1.0);
      sum = add_scaled(sum, x, 1.0);
      squares = add_scaled(squares, multiplied(x, x), 1.0);
    }
    let mean = scaled(sum_of_pairs(sum, t), 1.0 / total);
    let square = scaled(sum_of_pairs(squares, t), 1.0 / total);
    if (t < HALF_OCTETS) {
      set_vector_pairs(MEAN + of_values, t, add_scaled(origin, mean, 1.0));
      set_vector_pairs(INVERSE_DEVIATION + of_values, t, Pairs(
        Octet(
          inverse_deviation(origin.low.low, mean.low.low, square.low.low),
          inverse_deviation(origin.low.high, mean.low.high, square.low.high),
        ),
        Octet(
          inverse_deviation(origin.high.low, mean.high.low, square.high.low),
          inverse_deviation(origin.high.high, mean.high.high, square.high.high),
        ),
      ));
    }
  }
}

// Of dimensions [8 o, 8 o + 8) and their partners: the sum of squared distances from the channels' means, in their deviations.
fn strayed(x: Pairs, of_values: u32, o: u32) -> f32 {
  let distance = add_scaled(x, vector_pairs(MEAN + of_values, o), -1.0);
  return square_of(multiplied(distance, vector_pairs(INVERSE_DEVIATION + of_values, o)));
}
