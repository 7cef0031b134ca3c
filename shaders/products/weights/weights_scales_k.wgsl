// Scale and minimum of a block of 32 weights of Q4_K or Q5_K: d times one byte, -dmin times the next. Above them a word
// has the half d in even blocks and dmin in odd ones. Needs: scales: array<vec2<u32>>.
//: import products/weights/weights_step

fn scale_pair(block: u32) -> vec2<f32> {
  let words = scales[block >> 1u];
  let own = own_word(words, block);
  return steps_of(words) * vec2(f32(own & 255u), f32((own >> 8u) & 255u));
}
