// What per-layer embeddings give each layer (Gemma 4): the mean of what a token's row of the table says and what is made of its
// embedding, each of about length 1, times sqrt(2): inputs[l, m] = (norm(SCALE x[m, l]) * gain + table[m, l]) / sqrt(2).
// Grid: (L, rows). Bytes per layer and row: 16 SIZE: bound by memory, and small beside the product before it.
// Needs: const LAYERS, SIZE (per layer), ROWS (of each layer's inputs), SCALE, EPSILON, GROUP.
//: import products/lib/reduce

@group(0) @binding(0) var<storage, read> x: array<f32>; // [M, LAYERS, SIZE]
@group(0) @binding(1) var<storage, read> gain: array<f32>; // [SIZE]
@group(0) @binding(2) var<storage, read> table: array<f32>; // [M, LAYERS, SIZE]
@group(0) @binding(3) var<storage, read_write> inputs: array<f32>; // [LAYERS, ROWS, SIZE]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let start = (group.y * LAYERS + group.x) * SIZE;
  let to = (group.x * ROWS + group.y) * SIZE;
  var squares = 0.0;
  for (var i = lane; i < SIZE; i += GROUP) {
    let value = SCALE * x[start + i];
    squares += value * value;
  }
  let scale = SCALE * inverseSqrt(reduce_add(squares, lane) / f32(SIZE) + EPSILON);
  for (var i = lane; i < SIZE; i += GROUP) {
    inputs[to + i] = (x[start + i] * scale * gain[i] + table[start + i]) * inverseSqrt(2.0);
  }
}
