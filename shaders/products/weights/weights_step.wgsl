// The value of a half, by whole numbers: a GPU may flush subnormal halves to zero, and d of K types often is one.
fn half_value(h: u32) -> f32 {
  let exponent = (h >> 10u) & 31u;
  let mantissa = (h & 1023u) | select(0u, 1024u, exponent > 0u);
  // mantissa * 2^(exponent - 25), with the sign.
  return f32(mantissa) * bitcast<f32>(((max(exponent, 1u) + 102u) << 23u) | ((h & 0x8000u) << 16u));
}

// Types with minima: d and -dmin out of the upper halves of a pair of words, and the word of a block's own multiples.
fn steps_of(words: vec2<u32>) -> vec2<f32> {
  return vec2(half_value(words.x >> 16u), -half_value(words.y >> 16u));
}

fn own_word(words: vec2<u32>, block: u32) -> u32 {
  return select(words.x, words.y, (block & 1u) == 1u);
}
