// q5: as q4, with bit 4 of weight k at bit k of high[block]. weight = scale * code + minimum.
// 24 bytes per block of 32 (28 with f32 scales).
// Needs: quants: array<vec4<u32>>, high: array<u32>, scale_pair.
//: import products/weights/weights_plain_dot

struct Block { q: vec4<u32>, pair: vec2<f32>, h: u32 }

fn load_block(block: u32) -> Block {
  return Block(quants[block] ^ vec4(0x80000000u), scale_pair(block), high[block]);
}

// How to take weights 4j to 4j + 3 out of any block: see weights_q4.
struct Step { mask: vec4<u32>, bits: vec4<u32>, scale: f32, zero: f32 }

fn block_step(j: u32) -> Step {
  let bit = 1u << (4u * j);
  let zero = select(0.0, 8.0, j == 7u);
  return Step(vec4(15u * bit), vec4(bit, 2u * bit, 4u * bit, 8u * bit), 1.0 / f32(bit), zero);
}

// Weights 4j to 4j + 3. scale * code is exact in f32 (at most 22 bits).
fn block_vec(b: Block, step: Step) -> vec4<f32> {
  let low = vec4<f32>(vec4<i32>(b.q & step.mask)) * step.scale;
  let top = select(vec4(step.zero), vec4(step.zero + 16.0), (vec4(b.h) & step.bits) != vec4(0u));
  return b.pair.x * (low + top) + vec4(b.pair.y);
}
