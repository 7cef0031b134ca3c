// A layer's inputs, gated by what the layer has made of the token: y = gelu(y) * inputs, both [M, SIZE], in GELU's tanh form.
// Grid: (M SIZE / 64). Bytes: 12 a value: bound by memory, and small beside the products around it.
// Tested in kernels/inputs/layer-inputs.
// Needs: const SIZE, GELU (true).
//: import lib/batch
//: import products/lib/activation
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> inputs: array<f32>; // [M, SIZE], of one layer
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [M, SIZE]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= batch.rows * SIZE) { return; }
  y[id.x] = activation(y[id.x]) * inputs[id.x];
}
