// What attention found, from heads of HEAD_DIM to those of SIZE that spread_heads took: y[m, h] is the beginnings of both halves.
// Grid: (H SIZE / 64, rows). Bytes per row: 8 H SIZE: bound by memory, and small beside the product behind it.
// Needs: const SIZE (even), HEAD_DIM, HEADS.
// Tested in kernels/attention/head-sizes.
@group(0) @binding(0) var<storage, read> attended: array<f32>; // [M, HEADS, HEAD_DIM]
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [M, HEADS, SIZE]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= HEADS * SIZE) { return; }
  let i = id.x % SIZE;
  let half = i / (SIZE / 2u);
  let source = half * (HEAD_DIM / 2u) + i - half * (SIZE / 2u);
  y[id.y * HEADS * SIZE + id.x] = attended[(id.y * HEADS + id.x / SIZE) * HEAD_DIM + source];
}
