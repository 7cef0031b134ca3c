// RMSNorm: y[m] = x[first + m] * gain * rsqrt(mean(x[first + m]^2) + epsilon). One workgroup per row;
// the sum of squares by lib/reduce. Used before matmul; matvec folds its own. With ADD, y[m] += the same:
// a norm after a block, before the residual.
// Per row: 4E bytes read twice (the second time from cache), 4E written; 4E flops: bound by memory.
// Needs: reduce; batch, x, gain, y (vec4<f32>); const COLS4 (E / 4), EPSILON, ADD, GROUP.
//: import products/lib/reduce
//: import lib/batch

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let start = (batch.first + group.x) * COLS4;
  let to = group.x * COLS4;
  var squares = 0.0;
  for (var k = lane; k < COLS4; k += GROUP) {
    let v = x[start + k];
    squares += dot(v, v);
  }
  let scale = inverseSqrt(reduce_add(squares, lane) / f32(COLS4 * 4u) + EPSILON);
  for (var k = lane; k < COLS4; k += GROUP) {
    let value = x[start + k] * gain[k] * scale;
    if (ADD) { y[to + k] += value; } else { y[to + k] = value; }
  }
}
