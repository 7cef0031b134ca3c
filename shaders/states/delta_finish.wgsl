// What a gated DeltaNet layer's prompt leaves: y = RMSNorm(y) * gain * SiLU(z) per row and value head, and in the state the rows that the
// convolution of later ones reads.
// Grid: (V_HEADS, rows / GROUP_ROWS), QUADS * GROUP_ROWS invocations. Bytes per row and head: 12 D: bound by memory.
// Tested in kernels/states/delta-net.
// Needs const GROUP_ROWS, EPSILON, and those of lib/delta.
//: import lib/batch
//: import states/lib/delta

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> projected: array<vec4<f32>>; // [M, WIDTH4]
@group(0) @binding(2) var<storage, read> taps: array<vec4<f32>>; // [K, CHANNELS4]
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>; // [QUADS]
@group(0) @binding(4) var<storage, read> moves: array<Move>;
@group(0) @binding(5) var<storage, read_write> states: array<vec4<f32>>; // [slots, V_HEADS, HEAD4]
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>; // [M, V_HEADS, QUADS]

var<workgroup> sh_squares: array<f32, QUADS * GROUP_ROWS>;

@compute @workgroup_size(QUADS * GROUP_ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let h = group.x;
  let c = t % QUADS;
  let m = group.y * GROUP_ROWS + t / QUADS;
  let here = m < batch.rows;
  let at = (m * V_HEADS + h) * QUADS + c;
  var value = vec4<f32>();
  if (here) { value = y[at]; }
  sh_squares[t] = dot(value, value);
  workgroupBarrier();
  if (m == 0u) {
    for (var part = 0u; part < 3u; part += 1u) {
      keep_rows(batch.rows - 1u, 0u, moves[0].source, moves[0].to, h, part, c);
    }
  }
  if (!here) { return; }
  var squares = 0.0;
  for (var j = t - c; j < t - c + QUADS; j += 1u) { squares += sh_squares[j]; }
  let z = projected[m * WIDTH4 + CHANNELS4 + h * QUADS + c];
  let gated = gains[c] * z / (1.0 + exp(-max(z, vec4<f32>(-80.0))));
  y[at] = value * inverseSqrt(squares / f32(4u * QUADS) + EPSILON) * gated;
}
