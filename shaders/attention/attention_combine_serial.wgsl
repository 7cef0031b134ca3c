// attention_combine for CPU adapters: every invocation reads all weights, for four dimensions, without a barrier.
// Joins the splits of attention_decode: out = sum_s e^(m_s - m) acc_s / sum_s e^(m_s - m) l_s.
// Needs: HEAD_DIM, MAX_SPLITS, LANES (partials come in multiples of it). Workgroups: (H, M), 16 threads.
// Bytes: splits * (D + 2) * 4 per head, read once, and the weights D / 4 times.
// Tested in kernels/attention/attention-decode.
//: import lib/batch

const WORKGROUP = 16u;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> partials: array<f32>; // [M, H, MAX_SPLITS, D + 2]
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [M, H, D]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let head = group.y * groups.x + group.x;
  let base = head * MAX_SPLITS * (HEAD_DIM + 2u);
  let splits = (batch.splits + LANES - 1u) / LANES * LANES;
  var highest = -3.0e38;
  for (var s = 0u; s < splits; s += 1u) { highest = max(highest, partials[base + s * (HEAD_DIM + 2u)]); }
  for (var d = 4u * t; d < HEAD_DIM; d += 4u * WORKGROUP) {
    var sum = 0.0;
    var acc = vec4<f32>();
    for (var s = 0u; s < splits; s += 1u) {
      let part = base + s * (HEAD_DIM + 2u);
      let weight = exp(partials[part] - highest);
      sum += weight * partials[part + 1u];
      let at = part + 2u + d;
      acc += weight * vec4<f32>(partials[at], partials[at + 1u], partials[at + 2u], partials[at + 3u]);
    }
    out[(head * HEAD_DIM + d) / 4u] = acc / max(sum, 1e-30);
  }
}
