// prepare and block_dot of weights_q4 with packed 4x8 integer dot products: the 32 values of x become int8
// times one scale (their largest magnitude / 127), so each is off by at most 1/254 of that; codes and sums are
// exact. Component c of a block holds weights c, 4 + c, ... 28 + c: its even and its odd nibbles, as bytes, meet
// every other vector of x. Needs the language feature packed_4x8_integer_dot_product, weights_q4's Block.

struct Input { q: array<u32, 8>, scale: f32, sum: f32 }

fn prepare(x: array<vec4<f32>, 8>) -> Input {
  let high = max(max(max(abs(x[0]), abs(x[1])), max(abs(x[2]), abs(x[3]))),
    max(max(abs(x[4]), abs(x[5])), max(abs(x[6]), abs(x[7]))));
  let scale = max(max(max(high.x, high.y), max(high.z, high.w)), 1e-30) / 127.0;
  let inverse = 1.0 / scale;
  let sum = dot(((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7])), vec4(1.0));
  let even = transpose(mat4x4<f32>(x[0], x[2], x[4], x[6]));
  let odd = transpose(mat4x4<f32>(x[1], x[3], x[5], x[7]));
  return Input(array<u32, 8>(
    pack4xI8(vec4<i32>(round(even[0] * inverse))), pack4xI8(vec4<i32>(round(odd[0] * inverse))),
    pack4xI8(vec4<i32>(round(even[1] * inverse))), pack4xI8(vec4<i32>(round(odd[1] * inverse))),
    pack4xI8(vec4<i32>(round(even[2] * inverse))), pack4xI8(vec4<i32>(round(odd[2] * inverse))),
    pack4xI8(vec4<i32>(round(even[3] * inverse))), pack4xI8(vec4<i32>(round(odd[3] * inverse))),
  ), scale, sum);
}

fn block_dot(b: Block, x: Input) -> f32 {
  // load_block flips bit 31, for the f32 path.
  let q = b.q ^ vec4(0x80000000u);
  let even = q & vec4(0x0f0f0f0fu);
  let odd = (q >> vec4(4u)) & vec4(0x0f0f0f0fu);
  let d = dot4I8Packed(even.x, x.q[0]) + dot4I8Packed(odd.x, x.q[1])
    + dot4I8Packed(even.y, x.q[2]) + dot4I8Packed(odd.y, x.q[3])
    + dot4I8Packed(even.z, x.q[4]) + dot4I8Packed(odd.z, x.q[5])
    + dot4I8Packed(even.w, x.q[6]) + dot4I8Packed(odd.w, x.q[7]);
  return b.pair.x * x.scale * f32(d) + b.pair.y * x.sum;
}
