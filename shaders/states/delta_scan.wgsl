// The state of a gated DeltaNet layer through a prompt's chunks of CHUNK rows (32), one after the other, per value head and 32 of the value's
// dimensions, which need nothing of each other. With A and P of delta_within, G the sums of ln of what is forgotten, X the last G:
//   N = A (v - exp(G) S^T k);  y = exp(G) S^T q + P N;  S = exp(X) S + k^T (exp(X - G) N)
// An invocation has four rows and four columns of the first two, and of S 4 ROUNDS rows. S is read and written once per chunk.
// Grid: (V_HEADS, ceil(D / 32)), 64 invocations. Multiply-adds per row and head: 3 D^2 + CHUNK D: as many as row by row, and four barriers
// per CHUNK rows in place of one per row.
// Tested in kernels/states/delta-net.
// Needs const CHUNK, ROUNDS (ceil(QUADS / 8)), LAGS, and those of lib/delta_chunk.
//: import lib/batch
//: import states/lib/move
//: import states/lib/delta_chunk

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> mixed: array<vec4<f32>>; // [M, CHANNELS4]
@group(0) @binding(2) var<storage, read> gates: array<vec2<f32>>; // [M, V_HEADS]
@group(0) @binding(3) var<storage, read> within: array<vec4<f32>>; // [chunks, V_HEADS, 2, CHUNK, CHUNK / 4]
@group(0) @binding(4) var<storage, read> moves: array<Move>;
@group(0) @binding(5) var<storage, read_write> states: array<vec4<f32>>; // [slots, V_HEADS, 3 LAGS + D, QUADS]
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>; // [M, V_HEADS, QUADS]

var<workgroup> sh_missing: array<vec4<f32>, CHUNK * 8u>; // v - exp(G) S^T k
var<workgroup> sh_new: array<vec4<f32>, CHUNK * 8u>;

fn matrix_of(slot: u32, h: u32) -> u32 {
  let head = (3u * LAGS + 4u * QUADS) * QUADS;
  return (slot * V_HEADS + h) * head + 3u * LAGS * QUADS;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let h = group.x;
  let lane = t % 8u;
  let g = t / 8u;
  let column = group.y * 8u + lane;
  let own = column < QUADS;
  let c = min(column, QUADS - 1u);
  let last = batch.rows - 1u;
  let query = h % K_HEADS * QUADS;
  let to = matrix_of(moves[0].to, h) + c;
  var old = to;
  if (moves[0].source != NO_STATE) { old = matrix_of(moves[0].source, h) + c; }
  var empty = moves[0].source == NO_STATE;

  for (var first = 0u; first < batch.rows; first += CHUNK) {
    if (t < CHUNK) { sum_decays(t, first, h); }
    workgroupBarrier();
    //: for i
    let r$i = 4u * g + $iu;
    let row$i = min(first + r$i, last);
    let at$i = row$i * CHANNELS4;
    let grown$i = exp(sh_sums[r$i]);
    var read$i = vec4<f32>();
    var found$i = vec4<f32>();
    //: end
    if (!empty) {
      for (var d = 0u; d < QUADS; d += 1u) {
        let s0 = states[old + 4u * d * QUADS];
        let s1 = states[old + (4u * d + 1u) * QUADS];
        let s2 = states[old + (4u * d + 2u) * QUADS];
        let s3 = states[old + (4u * d + 3u) * QUADS];
        //: for i
        let q$i = mixed[at$i + query + d];
        let k$i = mixed[at$i + K_HEADS * QUADS + query + d];
        read$i += k$i.x * s0 + k$i.y * s1 + k$i.z * s2 + k$i.w * s3;
        found$i += q$i.x * s0 + q$i.y * s1 + q$i.z * s2 + q$i.w * s3;
        //: end
      }
    }
    //: for i
    let v$i = mixed[at$i + (2u * K_HEADS + h) * QUADS + c];
    sh_missing[r$i * 8u + lane] = select(vec4<f32>(), v$i - grown$i * read$i, first + r$i <= last);
    //: end
    workgroupBarrier();
    let matrices = ((first / CHUNK * V_HEADS + h) * 2u * CHUNK + 4u * g) * CHUNK / 4u;
    //: for i
    var new$i = vec4<f32>();
    //: end
    for (var j = 0u; j <= g; j += 1u) {
      let b0 = sh_missing[32u * j + lane];
      let b1 = sh_missing[32u * j + 8u + lane];
      let b2 = sh_missing[32u * j + 16u + lane];
      let b3 = sh_missing[32u * j + 24u + lane];
      //: for i
      let a$i = within[matrices + $iu * CHUNK / 4u + j];
      new$i += a$i.x * b0 + a$i.y * b1 + a$i.z * b2 + a$i.w * b3;
      //: end
    }
    //: for i
    sh_new[r$i * 8u + lane] = new$i;
    found$i *= grown$i;
    //: end
    workgroupBarrier();
    for (var j = 0u; j <= g; j += 1u) {
      let b0 = sh_new[32u * j + lane];
      let b1 = sh_new[32u * j + 8u + lane];
      let b2 = sh_new[32u * j + 16u + lane];
      let b3 = sh_new[32u * j + 24u + lane];
      //: for i
      let p$i = within[matrices + (CHUNK + $iu) * CHUNK / 4u + j];
      found$i += p$i.x * b0 + p$i.y * b1 + p$i.z * b2 + p$i.w * b3;
      //: end
    }
    //: for i
    if (own && first + r$i <= last) { y[(row$i * V_HEADS + h) * QUADS + c] = found$i; }
    //: end

    let end = sh_sums[CHUNK - 1u];
    //: for n
    let d$n = min(g + 8u * $nu, QUADS - 1u);
    var s$n_0 = vec4<f32>();
    var s$n_1 = vec4<f32>();
    var s$n_2 = vec4<f32>();
    var s$n_3 = vec4<f32>();
    if (!empty) {
      s$n_0 = exp(end) * states[old + 4u * d$n * QUADS];
      s$n_1 = exp(end) * states[old + (4u * d$n + 1u) * QUADS];
      s$n_2 = exp(end) * states[old + (4u * d$n + 2u) * QUADS];
      s$n_3 = exp(end) * states[old + (4u * d$n + 3u) * QUADS];
    }
    //: end
    for (var j = 0u; j < min(CHUNK, batch.rows - first); j += 1u) {
      let added = exp(end - sh_sums[j]) * sh_new[8u * j + lane];
      let keys = (first + j) * CHANNELS4 + K_HEADS * QUADS + query;
      //: for n
      let x$n = mixed[keys + d$n];
      s$n_0 += x$n.x * added;
      s$n_1 += x$n.y * added;
      s$n_2 += x$n.z * added;
      s$n_3 += x$n.w * added;
      //: end
    }
    //: for n
    if (own && g + 8u * $nu < QUADS) {
      states[to + 4u * d$n * QUADS] = s$n_0;
      states[to + (4u * d$n + 1u) * QUADS] = s$n_1;
      states[to + (4u * d$n + 2u) * QUADS] = s$n_2;
      states[to + (4u * d$n + 3u) * QUADS] = s$n_3;
    }
    //: end
    old = to;
    empty = false;
    storageBarrier();
    workgroupBarrier();
  }
}
