// prepare and block_dot of weights_q4 in f32.

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
