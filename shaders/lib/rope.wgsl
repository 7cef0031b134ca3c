// Rotary position embedding, half-split form: dimension i turns with i + D/2.
// cos and sin come from tables made in f64 on the host, since WGSL's sin and cos promise too little
// precision. Angles add: position = 256 * high + low, so [256 low rows | high rows] of D/2 pairs serve
// any context length from a few hundred kilobytes.

// Where a token stands for RoPE. Positions that a model was not trained for are never used: each time a chat reaches its
// trained length, its positions are folded. A fold halves positions below 2 S and takes S from the others, so that what
// is recent keeps its distances, and what is old draws near, in order: p -> p / 2 for p < 2 S, else p - S. In closed form for
// the token at `position` of the text, after so many folds:
fn rope_position(position: u32, folds: u32, stride: u32) -> u32 {
  if (folds == 0u) { return position; }
  let shifts = min(folds, max(position / stride, 1u) - 1u);
  return (position - shifts * stride) >> min(folds - shifts, 31u);
}

fn rope_angle(position: u32, pair: u32) -> vec2<f32> {
  let low = rope_table[(position & 255u) * HALF_DIM + pair];
  let high = rope_table[(256u + (position >> 8u)) * HALF_DIM + pair];
  return vec2<f32>(high.x * low.x - high.y * low.y, high.y * low.x + high.x * low.y);
}

// (x[i], x[i + D/2]) turned by (cos, sin).
fn rope_turn(x: vec2<f32>, angle: vec2<f32>) -> vec2<f32> {
  return vec2<f32>(x.x * angle.x - x.y * angle.y, x.y * angle.x + x.x * angle.y);
}
