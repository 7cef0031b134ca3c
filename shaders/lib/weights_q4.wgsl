// q4: 32 four-bit codes in one vec4<u32>, weight = scale * code + minimum. 20 bytes a block of 32
// (24 with f32 scales). Nibble j of component c is weight 4j + c, so one mask of the vector gives
// four consecutive weights, scaled by 16^j: that factor goes into the scale or into x, exactly, for
// shifts of vectors and u32 -> f32 are slow on SwiftShader. Bit 31 is flipped so that the last
// nibble reads as signed, code - 8. Needs: quants: array<vec4<u32>>, scale_pair.

struct Block { q: vec4<u32>, pair: vec2<f32> }

fn load_block(block: u32) -> Block {
  return Block(quants[block] ^ vec4(0x80000000u), scale_pair(block));
}

// How to take weights 4j to 4j + 3 out of any block.
struct Step { mask: vec4<u32>, scale: f32, zero: f32 }

fn block_step(j: u32) -> Step {
  return Step(vec4(15u << (4u * j)), 1.0 / f32(1u << (4u * j)), select(0.0, 8.0, j == 7u));
}

// Weights 4j to 4j + 3. scale * code is exact in f32 (at most 21 bits), so the sum rounds once,
// fused or not.
fn block_vec(b: Block, step: Step) -> vec4<f32> {
  let code = vec4<f32>(vec4<i32>(b.q & step.mask)) * step.scale + vec4(step.zero);
  return b.pair.x * code + vec4(b.pair.y);
}

// 32 values of x made ready for block_dot: divided by 16^j, their sum, and 8 times the last four's.
struct Input { v: array<vec4<f32>, 8>, sum: f32, zero: f32 }

fn prepare(x: array<vec4<f32>, 8>) -> Input {
  let one = vec4(1.0);
  let sum = dot(((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7])), one);
  let scaled = array<vec4<f32>, 8>(
    x[0], x[1] * 0x1p-4, x[2] * 0x1p-8, x[3] * 0x1p-12,
    x[4] * 0x1p-16, x[5] * 0x1p-20, x[6] * 0x1p-24, x[7] * 0x1p-28,
  );
  return Input(scaled, sum, 8.0 * dot(x[7], one));
}

// Sum of weight times x: scale * sum(code x) + minimum * sum(x).
fn block_dot(b: Block, x: Input) -> f32 {
  var d = dot(x.v[0], vec4<f32>(vec4<i32>(b.q & vec4(0xfu))));
  d += dot(x.v[1], vec4<f32>(vec4<i32>(b.q & vec4(0xf0u))));
  d += dot(x.v[2], vec4<f32>(vec4<i32>(b.q & vec4(0xf00u))));
  d += dot(x.v[3], vec4<f32>(vec4<i32>(b.q & vec4(0xf000u))));
  d += dot(x.v[4], vec4<f32>(vec4<i32>(b.q & vec4(0xf0000u))));
  d += dot(x.v[5], vec4<f32>(vec4<i32>(b.q & vec4(0xf00000u))));
  d += dot(x.v[6], vec4<f32>(vec4<i32>(b.q & vec4(0xf000000u))));
  d += dot(x.v[7], vec4<f32>(vec4<i32>(b.q & vec4(0xf0000000u))));
  return b.pair.x * (d + x.zero) + b.pair.y * x.sum;
}
