// q2 (Q2_K): 32 two-bit codes in one vec2<u32>, weight k's at bits 2 (k % 16) of word k / 16; scale and minimum
// for each 16 weights: d times two nibbles, -dmin times the next two. Above them a word has the half d in even blocks
// and dmin in odd ones. weight = scale * code + minimum. 12 bytes per block of 32.
// Needs: quants: array<vec2<u32>>, scales: array<vec2<u32>>.
//: import products/weights/weights_plain_dot
//: import products/weights/weights_pairs
//: import products/weights/weights_step

struct Block { q: vec2<u32>, scales: vec2<f32>, mins: vec2<f32> }

fn load_block(block: u32) -> Block {
  let words = scales[block >> 1u];
  let multiples = vec4<f32>((vec4(own_word(words, block)) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u));
  let steps = steps_of(words);
  return Block(quants[block], steps.x * multiples.xy, steps.y * multiples.zw);
}

// Weights 4j to 4j + 3. scale * code is exact in f32 (at most 17 bits), so the sum rounds once.
fn block_vec(b: Block, step: Step) -> vec4<f32> {
  let scale = select(b.scales.x, b.scales.y, step.second);
  return scale * two_bits(b.q, step) + vec4(select(b.mins.x, b.mins.y, step.second));
}
