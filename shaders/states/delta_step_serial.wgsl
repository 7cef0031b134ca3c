// delta_step for CPU adapters: the same, by one invocation per four columns of S, which walks down them twice. Invocations are few,
// since each group of four costs a fibre, and loops are short, since what is written out takes long to compile.
//
// Grid: (V_HEADS, 1 if EACH, else rows), QUADS invocations. Bytes per row and head: the state three times (12 D^2), of which the second
// time comes from a cache.
// Tested in kernels/states/delta-net.
// Needs const EACH, EPSILON, and those of lib/delta.
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

var<workgroup> sh_row: array<vec4<f32>, 2u * QUADS>; // q, k
var<workgroup> sh_out: array<vec4<f32>, QUADS>;

@compute @workgroup_size(QUADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) c: u32) {
  let h = group.x;
  let first = select(group.y, 0u, EACH);
  let end = select(first + 1u, batch.rows, EACH);
  let source = moves[first].source;
  var old = source;
  for (var m = first; m < end; m += 1u) {
    var value = vec4<f32>();
    for (var part = 0u; part < 3u; part += 1u) {
      value = convolved(m, first, source, h, part, c);
      if (part < 2u) { sh_row[part * QUADS + c] = value; }
    }
    workgroupBarrier();
    let has = old != NO_STATE;
    var read = vec4<f32>();
    var found = vec4<f32>();
    var dots = vec4<f32>(); // q . q, k . k, k . q
    var at = select(0u, state_of(old, h) + ROWS4 + c, has);
    for (var d = 0u; d < QUADS; d += 1u) {
      let q = sh_row[d];
      let k = sh_row[QUADS + d];
      dots += vec4<f32>(dot(q, q), dot(k, k), dot(k, q), 0.0);
      if (has) {
        let s0 = states[at];
        let s1 = states[at + QUADS];
        let s2 = states[at + 2u * QUADS];
        let s3 = states[at + 3u * QUADS];
        read += k.x * s0 + k.y * s1 + k.z * s2 + k.w * s3;
        found += q.x * s0 + q.y * s1 + q.z * s2 + q.w * s3;
        at += 4u * QUADS;
      }
    }
    let decay = exp(log_decay(m, h, rates[h]));
    let of_k = inverseSqrt(dots.y + 1e-6);
    let of_q = inverseSqrt(dots.x + 1e-6) * inverseSqrt(f32(4u * QUADS));
    let change = beta_of(m, h) * (value - decay * of_k * read);
    let out = of_q * (decay * found + of_k * dots.z * change);
    sh_out[c] = out;
    let added = of_k * change;
    let to = moves[m].to;
    var next = state_of(to, h) + ROWS4 + c;
    at = select(0u, state_of(old, h) + ROWS4 + c, has);
    for (var d = 0u; d < QUADS; d += 1u) {
      let k = sh_row[QUADS + d];
      var s0 = k.x * added;
      var s1 = k.y * added;
      var s2 = k.z * added;
      var s3 = k.w * added;
      if (has) {
        s0 += decay * states[at];
        s1 += decay * states[at + QUADS];
        s2 += decay * states[at + 2u * QUADS];
        s3 += decay * states[at + 3u * QUADS];
      }
      states[next] = s0;
      states[next + QUADS] = s1;
      states[next + 2u * QUADS] = s2;
      states[next + 3u * QUADS] = s3;
      next += 4u * QUADS;
      at += 4u * QUADS;
    }
    workgroupBarrier();
    var squares = 0.0;
    for (var j = 0u; j < QUADS; j += 1u) { squares += dot(sh_out[j], sh_out[j]); }
    let scale = inverseSqrt(squares / f32(4u * QUADS) + EPSILON);
    let z = projected[m * WIDTH4 + CHANNELS4 + h * QUADS + c];
    y[(m * V_HEADS + h) * QUADS + c] = out * scale * gains[c] * z / (1.0 + exp(-max(z, vec4<f32>(-80.0))));
    for (var part = 0u; part < 3u; part += 1u) { keep_rows(m, first, source, to, h, part, c); }
    old = to;
  }
}
