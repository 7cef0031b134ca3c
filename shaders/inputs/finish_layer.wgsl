// The end of a layer with per-layer embeddings: hidden[m] = (hidden[m] + x[m] * gain * rsqrt(mean(x[m]^2) + EPSILON)) * factor.
// One workgroup per row. Bytes per row: 4 E read twice, 8 E: bound by memory.
// Needs: const COLS (E), EPSILON, GROUP.
// Tested in kernels/inputs/layer-inputs.
//: import products/lib/reduce

@group(0) @binding(0) var<storage, read> x: array<f32>; // [M, COLS]
@group(0) @binding(1) var<storage, read> gain: array<f32>; // [COLS]
@group(0) @binding(2) var<storage, read> factor: array<f32>; // [1]
@group(0) @binding(3) var<storage, read_write> hidden: array<f32>; // [M, COLS]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let start = group.x * COLS;
  var squares = 0.0;
  for (var i = lane; i < COLS; i += GROUP) { squares += x[start + i] * x[start + i]; }
  let scale = inverseSqrt(reduce_add(squares, lane) / f32(COLS) + EPSILON);
  for (var i = lane; i < COLS; i += GROUP) {
    hidden[start + i] = (hidden[start + i] + x[start + i] * scale * gain[i]) * factor[0];
  }
}
