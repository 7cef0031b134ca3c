// How far keys and values stray, for score_context and score_parts.
//: import scoring/lib/score_pairs

// Leaves mean and deviation over all candidates for each channel of keys (0) or values (1), from what every share's distances to
// `origin` and their squares add up to.
fn leave_channels(t: u32, total: u32, of_values: u32, origin: Pairs, sum: Pairs, squares: Pairs) {
  let mean = scaled(sum_of_pairs(sum, t), 1.0 / f32(total));
  let square = scaled(sum_of_pairs(squares, t), 1.0 / f32(total));
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

// Sums squared distances from the channels' means, in their deviations, over dimensions [8 o, 8 o + 8) and their partners.
fn strayed(x: Pairs, of_values: u32, o: u32) -> f32 {
  let distance = add_scaled(x, vector_pairs(MEAN + of_values, o), -1.0);
  return square_of(multiplied(distance, vector_pairs(INVERSE_DEVIATION + of_values, o)));
}
