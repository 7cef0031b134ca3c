// Heads of SIZE dimensions, as a product leaves them, to heads of HEAD_DIM, as the cache has them, each normalised:
// qkv[m, h] = 0 but for x[m, h] * gain * rsqrt(mean(x[m, h]^2) + EPSILON), the first half of it at the beginning, the second at
// HEAD_DIM / 2, where RoPE turns one with the other. Query heads have gains [0], key heads gains [1], value heads none.
// A layer that reads another one's keys and values has query heads alone.
// Grid: (heads in a row of x, rows). Bytes per head: 8 SIZE read, 4 HEAD_DIM written: bound by memory, and small beside the product.
// Needs: const SIZE (even), HEAD_DIM, HEADS, KV_HEADS, PROJECTED (heads in a row of x), EPSILON, SCALE (of queries), GROUP.
// Tested in kernels/attention/head-sizes.
//: import products/lib/reduce

@group(0) @binding(0) var<storage, read> x: array<f32>; // [M, PROJECTED, SIZE]
@group(0) @binding(1) var<storage, read> gains: array<f32>; // [2, SIZE]
@group(0) @binding(2) var<storage, read_write> qkv: array<f32>; // [M, HEADS + 2 KV_HEADS, HEAD_DIM]

const HALF_SIZE = SIZE / 2u;
const HALF_DIM = HEAD_DIM / 2u;

fn gain_of(head: u32, i: u32) -> f32 {
  if (head < HEADS) { return SCALE * gains[i]; }
  if (head < HEADS + KV_HEADS) { return gains[SIZE + i]; }
  return 1.0;
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let start = (group.y * PROJECTED + group.x) * SIZE;
  let to = (group.y * (HEADS + 2u * KV_HEADS) + group.x) * HEAD_DIM;
  var squares = 0.0;
  for (var i = lane; i < SIZE; i += GROUP) { squares += x[start + i] * x[start + i]; }
  let scale = inverseSqrt(reduce_add(squares, lane) / f32(SIZE) + EPSILON);
  for (var i = lane; i < HEAD_DIM; i += GROUP) {
    let within = i % HALF_DIM;
    let source = within + (i / HALF_DIM) * HALF_SIZE;
    var value = 0.0;
    if (within < HALF_SIZE) { value = x[start + source] * scale * gain_of(group.x, source); }
    qkv[to + i] = value;
  }
}
