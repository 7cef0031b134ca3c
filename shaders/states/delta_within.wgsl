// What the rows of a chunk are to each other in a gated DeltaNet layer, per value head and chunk of CHUNK rows, in two matrices [CHUNK, CHUNK]:
//   new values = A (v - exp(G) S^T k),  A = (I + B)^-1 diag(beta),  B[i, j] = beta_i exp(G_i - G_j) k_i . k_j  for j < i
//   outputs = exp(G) S^T q + P (new values),  P[i, j] = exp(G_i - G_j) q_i . k_j  for j <= i
// G: the sum of the rows' ln of what is forgotten, from the chunk's first on. Rows beyond the last one add nothing.
// A column of the inverse is solved from top to bottom by one invocation, all columns at once.
// Grid: (V_HEADS, chunks), 64 invocations, each with a tile of 4 by 4. Multiply-adds per head and chunk: CHUNK^2 D, a tenth of the scan's.
// Tested in kernels/states/delta-net.
// Needs const CHUNK (32), and those of lib/delta_chunk.
//: import lib/batch
//: import states/lib/delta_chunk

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> mixed: array<vec4<f32>>; // [M, CHANNELS4]
@group(0) @binding(2) var<storage, read> gates: array<vec2<f32>>; // [M, V_HEADS]
@group(0) @binding(3) var<storage, read_write> within: array<f32>; // [chunks, V_HEADS, 2, CHUNK, CHUNK]

var<workgroup> sh_b: array<f32, CHUNK * CHUNK>;
var<workgroup> sh_inverse: array<f32, CHUNK * CHUNK>;
var<workgroup> sh_beta: array<f32, CHUNK>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let h = group.x;
  let first = group.y * CHUNK;
  if (t < CHUNK) {
    sum_decays(t, first, h);
    sh_beta[t] = 0.0;
    if (first + t < batch.rows) { sh_beta[t] = gates[(first + t) * V_HEADS + h].y; }
  }
  workgroupBarrier();
  let i0 = 4u * (t / 8u);
  let j0 = 4u * (t % 8u);
  let out = (group.y * V_HEADS + h) * 2u * CHUNK * CHUNK;
  let last = batch.rows - 1u;
  //: for i
  var kk$i = vec4<f32>();
  var qk$i = vec4<f32>();
  let row$i = min(first + i0 + $iu, last) * CHANNELS4 + h % K_HEADS * QUADS;
  let col$i = (min(first + j0 + $iu, last) * CHANNELS4) + (K_HEADS + h % K_HEADS) * QUADS;
  //: end
  if (j0 <= i0) {
    for (var c = 0u; c < QUADS; c += 1u) {
      let b0 = mixed[col0 + c];
      let b1 = mixed[col1 + c];
      let b2 = mixed[col2 + c];
      let b3 = mixed[col3 + c];
      //: for i
      let q$i = mixed[row$i + c];
      let k$i = mixed[row$i + K_HEADS * QUADS + c];
      qk$i += vec4<f32>(dot(q$i, b0), dot(q$i, b1), dot(q$i, b2), dot(q$i, b3));
      kk$i += vec4<f32>(dot(k$i, b0), dot(k$i, b1), dot(k$i, b2), dot(k$i, b3));
      //: end
    }
  }
  //: for i
  for (var j = 0u; j < 4u; j += 1u) {
    let i = i0 + $iu;
    let at = i * CHUNK + j0 + j;
    let decay = exp(min(sh_sums[i] - sh_sums[j0 + j], 0.0));
    sh_b[at] = select(0.0, sh_beta[i] * decay * kk$i[j], j0 + j < i);
    within[out + CHUNK * CHUNK + at] = select(0.0, decay * qk$i[j], j0 + j <= i);
  }
  //: end
  workgroupBarrier();
  if (t >= CHUNK) { return; }
  for (var i = 0u; i < CHUNK; i += 1u) {
    var value = select(0.0, 1.0, i == t);
    for (var j = t; j < i; j += 1u) { value -= sh_b[i * CHUNK + j] * sh_inverse[j * CHUNK + t]; }
    sh_inverse[i * CHUNK + t] = value;
    within[out + i * CHUNK + t] = value * sh_beta[t];
  }
}
