// Bit pairs of 32 weights in two words: weight k's at bits 2 (k % 16) of word k / 16.

// How to take weights 4j to 4j + 3 out of any block.
struct Step { j: u32, shift: u32, second: bool }

fn block_step(j: u32) -> Step {
  return Step(j, 8u * (j & 3u), j >= 4u);
}

fn two_bits(q: vec2<u32>, step: Step) -> vec4<f32> {
  let word = select(q.x, q.y, step.second) >> step.shift;
  return vec4<f32>(vec4<i32>(vec4(word) & vec4(3u, 12u, 48u, 192u))) * vec4(1.0, 0.25, 0.0625, 0.015625);
}
