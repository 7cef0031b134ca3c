// q6 (Q6_K): low four bits as in q4; bits 4 and 5 of weight k at bits 2 (k % 16) of word k / 16 of
// high[block]; one scale for each 16 weights. weight = scale * (code - 32). 28 bytes per block.
// Needs: quants: array<vec4<u32>>, high: array<vec2<u32>>.
//: import products/weights/weights_plain_dot
//: import products/weights/weights_two_scales

struct Block { q: vec4<u32>, h: vec2<u32>, pair: vec2<f32> }

fn load_block(block: u32) -> Block {
  return Block(quants[block] ^ vec4(0x80000000u), high[block], two_scales(block));
}

// How to take weights 4j to 4j + 3 out of any block: see weights_q4.
struct Step { mask: vec4<u32>, scale: f32, zero: f32, shift: u32, second: bool }

fn block_step(j: u32) -> Step {
  let zero = select(-32.0, -24.0, j == 7u);
  return Step(vec4(15u << (4u * j)), 1.0 / f32(1u << (4u * j)), zero, 8u * (j & 3u), j >= 4u);
}

// Weights 4j to 4j + 3. scale * (code - 32) rounds once, as in the reference.
fn block_vec(b: Block, step: Step) -> vec4<f32> {
  let low = vec4<f32>(vec4<i32>(b.q & step.mask)) * step.scale + vec4(step.zero);
  let h = select(b.h.x, b.h.y, step.second) >> step.shift;
  let top = vec4<f32>(vec4<i32>(vec4(h) & vec4(3u, 12u, 48u, 192u))) * vec4(16.0, 4.0, 1.0, 0.25);
  return select(b.pair.x, b.pair.y, step.second) * (low + top);
}
