// One token of a gated DeltaNet layer (arXiv 2412.06464), from its projections to what its output product takes, per value head:
//   q, k, v = SiLU(convolution of the row and the LAGS before it);  q, k are divided by their lengths, q by sqrt(D) too
//   S = exp(g) S;  S += k (beta (v - S^T k))^T;  y = RMSNorm(S^T q) * gain * SiLU(z)
// with beta = sigmoid(.), g = rate * softplus(alpha + bias). S^T k and S^T q are taken of the old S in one pass, so that S is read and
// written once: y = exp(g) S^T q + (k . q) beta (v - exp(g) S^T k).
//
// EACH: the rows follow one another in one sequence, and the state behind each is written, by its own move; else each row is of
// another sequence. An invocation holds SLICE rows of four columns of S in registers.
// Grid: (V_HEADS, 1 if EACH, else rows), SLICES * QUADS invocations. Bytes per row and head: the state twice (8 D^2): bound by memory.
// Tested in kernels/states/delta-net.
// Needs const EACH, SLICES, SLICE4 (D / 4 / SLICES, the rows of a slice in fours), EPSILON, and those of lib/delta.
//: import lib/batch
//: import states/lib/delta

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> projected: array<vec4<f32>>; // [M, WIDTH4]
@group(0) @binding(2) var<storage, read> taps: array<vec4<f32>>; // [K, CHANNELS4]
@group(0) @binding(3) var<storage, read> rates: array<vec2<f32>>; // [V_HEADS]
@group(0) @binding(4) var<storage, read> gains: array<vec4<f32>>; // [QUADS]
@group(0) @binding(5) var<storage, read> moves: array<Move>;
@group(0) @binding(6) var<storage, read_write> states: array<vec4<f32>>; // [slots, V_HEADS, HEAD4]
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>; // [M, V_HEADS, QUADS]

const GROUP = SLICES * QUADS;

var<workgroup> sh_row: array<vec4<f32>, 3u * QUADS>; // q, k, v
var<workgroup> sh_read: array<vec4<f32>, GROUP>; // S^T k of each slice
var<workgroup> sh_found: array<vec4<f32>, GROUP>; // S^T q
var<workgroup> sh_dots: array<vec4<f32>, SLICES>; // q . q, k . k, k . q
var<workgroup> sh_new: array<vec4<f32>, QUADS>; // what k adds
var<workgroup> sh_out: array<vec4<f32>, QUADS>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let h = group.x;
  let c = t % QUADS;
  let slice = t / QUADS;
  let first = select(group.y, 0u, EACH);
  let end = select(first + 1u, batch.rows, EACH);
  let source = moves[first].source;
  let mine = ROWS4 + slice * SLICE4 * 4u * QUADS + c;
  //: for i
  var s$i_0 = vec4<f32>();
  var s$i_1 = vec4<f32>();
  var s$i_2 = vec4<f32>();
  var s$i_3 = vec4<f32>();
  //: end
  if (source != NO_STATE) {
    let old = state_of(source, h) + mine;
    //: for i
    s$i_0 = states[old + $iu * 4u * QUADS];
    s$i_1 = states[old + ($iu * 4u + 1u) * QUADS];
    s$i_2 = states[old + ($iu * 4u + 2u) * QUADS];
    s$i_3 = states[old + ($iu * 4u + 3u) * QUADS];
    //: end
  }
  for (var m = first; m < end; m += 1u) {
    for (var j = t; j < 3u * QUADS; j += GROUP) {
      sh_row[j] = convolved(m, first, source, h, j / QUADS, j % QUADS);
    }
    workgroupBarrier();
    var read = vec4<f32>();
    var found = vec4<f32>();
    var dots = vec4<f32>();
    //: for i
    let q$i = sh_row[slice * SLICE4 + $iu];
    let k$i = sh_row[QUADS + slice * SLICE4 + $iu];
    dots += vec4<f32>(dot(q$i, q$i), dot(k$i, k$i), dot(k$i, q$i), 0.0);
    read += k$i.x * s$i_0 + k$i.y * s$i_1 + k$i.z * s$i_2 + k$i.w * s$i_3;
    found += q$i.x * s$i_0 + q$i.y * s$i_1 + q$i.z * s$i_2 + q$i.w * s$i_3;
    //: end
    sh_read[t] = read;
    sh_found[t] = found;
    if (c == 0u) { sh_dots[slice] = dots; }
    workgroupBarrier();
    let decay = exp(log_decay(m, h, rates[h]));
    if (slice == 0u) {
      for (var j = 1u; j < SLICES; j += 1u) {
        read += sh_read[j * QUADS + c];
        found += sh_found[j * QUADS + c];
        dots += sh_dots[j];
      }
      let of_k = inverseSqrt(dots.y + 1e-6);
      let of_q = inverseSqrt(dots.x + 1e-6) * inverseSqrt(f32(4u * QUADS));
      let change = beta_of(m, h) * (sh_row[2u * QUADS + c] - decay * of_k * read);
      sh_new[c] = of_k * change;
      sh_out[c] = of_q * (decay * found + of_k * dots.z * change);
    }
    workgroupBarrier();
    let added = sh_new[c];
    //: for i
    s$i_0 = decay * s$i_0 + k$i.x * added;
    s$i_1 = decay * s$i_1 + k$i.y * added;
    s$i_2 = decay * s$i_2 + k$i.z * added;
    s$i_3 = decay * s$i_3 + k$i.w * added;
    //: end
    if (slice == 0u) {
      var squares = 0.0;
      for (var j = 0u; j < QUADS; j += 1u) { squares += dot(sh_out[j], sh_out[j]); }
      let scale = inverseSqrt(squares / f32(4u * QUADS) + EPSILON);
      let z = projected[m * WIDTH4 + CHANNELS4 + h * QUADS + c];
      y[(m * V_HEADS + h) * QUADS + c] = sh_out[c] * scale * gains[c] * z / (1.0 + exp(-max(z, vec4<f32>(-80.0))));
    }
    let to = moves[m].to;
    let at = state_of(to, h) + mine;
    //: for i
    states[at + $iu * 4u * QUADS] = s$i_0;
    states[at + ($iu * 4u + 1u) * QUADS] = s$i_1;
    states[at + ($iu * 4u + 2u) * QUADS] = s$i_2;
    states[at + ($iu * 4u + 3u) * QUADS] = s$i_3;
    //: end
    for (var j = t; j < 3u * QUADS; j += GROUP) {
      keep_rows(m, first, source, to, h, j / QUADS, j % QUADS);
    }
  }
}
