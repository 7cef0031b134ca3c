// Rows of a gated DeltaNet layer's prompt, ready for its chunks: q, k and v behind the convolution and SiLU, q and k divided by their
// lengths and q by sqrt(D); and of each value head the logarithm of what it forgets, and beta. All rows are of one sequence.
// Grid: (2 K_HEADS + V_HEADS, rows / GROUP_ROWS), QUADS * GROUP_ROWS invocations. Bytes per row: its q, k and v once read (the LAGS rows
// before it come from caches) and written: bound by memory.
// Tested in kernels/states/delta-net.
// Needs const GROUP_ROWS, and those of lib/delta.
//: import lib/batch
//: import states/lib/delta

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> projected: array<vec4<f32>>; // [M, WIDTH4]
@group(0) @binding(2) var<storage, read> taps: array<vec4<f32>>; // [K, CHANNELS4]
@group(0) @binding(3) var<storage, read> rates: array<vec2<f32>>; // [V_HEADS]
@group(0) @binding(4) var<storage, read> moves: array<Move>;
@group(0) @binding(5) var<storage, read_write> states: array<vec4<f32>>; // [slots, V_HEADS, HEAD4]
@group(0) @binding(6) var<storage, read_write> mixed: array<vec4<f32>>; // [M, CHANNELS4]
@group(0) @binding(7) var<storage, read_write> gates: array<vec2<f32>>; // [M, V_HEADS]

var<workgroup> sh_squares: array<f32, QUADS * GROUP_ROWS>;

@compute @workgroup_size(QUADS * GROUP_ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let part = min(group.x / K_HEADS, 2u);
  let h = group.x - part * K_HEADS;
  let c = t % QUADS;
  let m = group.y * GROUP_ROWS + t / QUADS;
  let here = m < batch.rows;
  var value = vec4<f32>();
  if (here) { value = convolved(m, 0u, moves[0].source, h, part, c); }
  sh_squares[t] = dot(value, value);
  workgroupBarrier();
  if (!here) { return; }
  if (part == 2u) {
    if (c == 0u) { gates[m * V_HEADS + h] = vec2<f32>(log_decay(m, h, rates[h]), beta_of(m, h)); }
  } else {
    var squares = 0.0;
    for (var j = t - c; j < t - c + QUADS; j += 1u) { squares += sh_squares[j]; }
    value *= inverseSqrt(squares + 1e-6);
    if (part == 0u) { value *= inverseSqrt(f32(4u * QUADS)); }
  }
  mixed[m * CHANNELS4 + group.x * QUADS + c] = value;
}
