// q8 (Q8_0): 32 signed bytes in two vec4<u32>, weight = scale * code, scale in f32. 36 bytes a
// block. Byte i of component c of vector v is weight 16v + 4i + c, read by a mask, scaled by 256^i
// (see weights_q4). The sign bits of bytes 0 to 2 are flipped, so that these read as code + 128;
// byte 3 keeps its sign. Needs: quants: array<vec4<u32>>, scales: array<f32>.

const FLIP = vec4(0x00808080u);

struct Block { q: vec4<u32>, r: vec4<u32>, scale: f32 }

fn load_block(block: u32) -> Block {
  return Block(quants[2u * block] ^ FLIP, quants[2u * block + 1u] ^ FLIP, scales[block]);
}

// How to take weights 4j to 4j + 3 out of any block.
struct Step { mask: vec4<u32>, scale: f32, zero: f32, second: bool }

fn block_step(j: u32) -> Step {
  let bit = 1u << (8u * (j & 3u));
  return Step(vec4(255u * bit), 1.0 / f32(bit), select(-128.0, 0.0, (j & 3u) == 3u), j >= 4u);
}

// Weights 4j to 4j + 3; scale * code is exact in f32 (at most 19 bits).
fn block_vec(b: Block, step: Step) -> vec4<f32> {
  let codes = vec4<f32>(vec4<i32>(select(b.q, b.r, step.second) & step.mask));
  return b.scale * (codes * step.scale + vec4(step.zero));
}

// 32 values of x made ready for block_dot: divided by 256^i, and 128 times the sum of those that
// meet flipped bytes (taking it off again costs about two bits of an f32 sum's precision).
struct Input { v: array<vec4<f32>, 8>, zero: f32 }

fn prepare(x: array<vec4<f32>, 8>) -> Input {
  let flipped = ((x[0] + x[1]) + (x[2] + x[4])) + (x[5] + x[6]);
  let scaled = array<vec4<f32>, 8>(
    x[0], x[1] * 0x1p-8, x[2] * 0x1p-16, x[3] * 0x1p-24,
    x[4], x[5] * 0x1p-8, x[6] * 0x1p-16, x[7] * 0x1p-24,
  );
  return Input(scaled, 128.0 * dot(flipped, vec4(1.0)));
}

// Sum of weight times x.
fn block_dot(b: Block, x: Input) -> f32 {
  var d = dot(x.v[0], vec4<f32>(vec4<i32>(b.q & vec4(0xffu))));
  d += dot(x.v[1], vec4<f32>(vec4<i32>(b.q & vec4(0xff00u))));
  d += dot(x.v[2], vec4<f32>(vec4<i32>(b.q & vec4(0xff0000u))));
  d += dot(x.v[3], vec4<f32>(vec4<i32>(b.q & vec4(0xff000000u))));
  d += dot(x.v[4], vec4<f32>(vec4<i32>(b.r & vec4(0xffu))));
  d += dot(x.v[5], vec4<f32>(vec4<i32>(b.r & vec4(0xff00u))));
  d += dot(x.v[6], vec4<f32>(vec4<i32>(b.r & vec4(0xff0000u))));
  d += dot(x.v[7], vec4<f32>(vec4<i32>(b.r & vec4(0xff000000u))));
  return b.scale * (d - x.zero);
}
