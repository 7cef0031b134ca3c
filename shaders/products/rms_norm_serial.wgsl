// rms_norm for CPU adapters, where a barrier costs more than a row: SHARE lanes per row, GROUP / SHARE rows per workgroup.
// Per row: as in rms_norm. Needs: lib/quad; batch, x, gain, y (vec4<f32>); const COLS4 (E / 4), EPSILON, ADD, GROUP.
// Unroll: r < SHARE.
// Tested in kernels/products/rms-norm.
//: import lib/batch

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, invocation: Invocation) {
  let lane = lane_of(invocation);
  let row = (group.x * GROUP + invocation.index) / SHARE;
  let start = (batch.first + min(row, batch.rows - 1u)) * COLS4;
  let to = row * COLS4;
  var squares = vec4<f32>();
  for (var k = lane; k < COLS4; k += SHARE) {
    let v = x[start + k];
    squares += v * v;
  }
  let sum = total(Quarters(
    //: for r
    dot(from$r(squares), vec4(1.0)),
    //: end
  ));
  if (row >= batch.rows) { return; }
  let scale = inverseSqrt(sum / f32(COLS4 * 4u) + EPSILON);
  for (var k = lane; k < COLS4; k += SHARE) {
    let value = x[start + k] * gain[k] * scale;
    if (ADD) { y[to + k] += value; } else { y[to + k] = value; }
  }
}
