// Gates of what attention's heads find: attended[m] *= sigmoid(gates[m]), both [M, H D].
// Grid: (H D / 4 / 64, rows). Bytes per row: 12 H D: bound by memory, and small beside the products around it.
// Needs const WIDTH4 (H D / 4).
//: import lib/batch

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> gates: array<vec4<f32>>; // [M, WIDTH4]
@group(0) @binding(2) var<storage, read_write> attended: array<vec4<f32>>; // [M, WIDTH4]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= WIDTH4 || id.y >= batch.rows) { return; }
  let at = id.y * WIDTH4 + id.x;
  attended[at] /= 1.0 + exp(-max(gates[at], vec4<f32>(-80.0)));
}
