// attention_combine for CPU adapters: every invocation reads all weights. Joins the splits of attention_decode: out = sum_s e^(m_s - m) acc_s / sum_s e^(m_s - m) l_s.
// Needs: HEAD_DIM, MAX_SPLITS, LANES (partials come in multiples of it). Workgroups: (H, M), 64 threads, one a dimension (or several).
// Bytes: splits * (D + 2) * 4 a head, read once.

const WORKGROUP = 64u;

struct Batch { rows: u32, first: u32, splits: u32, heads: u32 }

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> partials: array<f32>; // [M, H, MAX_SPLITS, D + 2]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [M, H, D]

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
  for (var d = t; d < HEAD_DIM; d += WORKGROUP) {
    var sum = 0.0;
    var acc = 0.0;
    for (var s = 0u; s < splits; s += 1u) {
      let part = base + s * (HEAD_DIM + 2u);
      let weight = exp(partials[part] - highest);
      sum += weight * partials[part + 1u];
      acc += weight * partials[part + 2u + d];
    }
    out[head * HEAD_DIM + d] = acc / max(sum, 1e-30);
  }
}
