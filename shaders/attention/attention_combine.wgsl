// Joins the splits of attention_decode: out = sum_s e^(m_s - m) acc_s / sum_s e^(m_s - m) l_s.
// Needs: HEAD_DIM, MAX_SPLITS (a multiple of 8); loops written out by unroll: n < 8.
// Workgroups: (H, M), 64 threads, one a dimension (or several). Nothing but latency counts here: splits * (D + 2) * 4
// bytes per head. Each m_s and l_s is read by one thread, into workgroup memory; then 8 splits are on their way at once,
// so that a dimension waits for 1 + splits / 8 loads, not for 3 a split. Sums are taken in the splits' order, as in
// lib/joined_input.
// Tested in kernels/attention/attention-decode.
//: import lib/batch

const WORKGROUP = 64u;

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> partials: array<f32>; // [M, H, MAX_SPLITS, D + 2]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [M, H, D]

var<workgroup> sh_highest: array<f32, MAX_SPLITS>; // LOWEST past the splits
var<workgroup> sh_sum: array<f32, MAX_SPLITS>;
var<workgroup> sh_weight: array<f32, MAX_SPLITS>; // 0 past the splits

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let head = group.y * groups.x + group.x;
  let base = head * MAX_SPLITS * (HEAD_DIM + 2u);
  for (var s = t; s < MAX_SPLITS; s += WORKGROUP) {
    let part = base + min(s, batch.splits - 1u) * (HEAD_DIM + 2u);
    sh_highest[s] = select(LOWEST, partials[part], s < batch.splits);
    sh_sum[s] = partials[part + 1u];
  }
  workgroupBarrier();
  var highest = LOWEST;
  for (var s = 0u; s < MAX_SPLITS; s += 1u) { highest = max(highest, sh_highest[s]); }
  for (var s = t; s < MAX_SPLITS; s += WORKGROUP) {
    sh_weight[s] = select(0.0, exp(sh_highest[s] - highest), s < batch.splits);
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var s = 0u; s < MAX_SPLITS; s += 1u) { sum += sh_weight[s] * sh_sum[s]; }
  for (var d = t; d < HEAD_DIM; d += WORKGROUP) {
    var acc = 0.0;
    for (var first = 0u; first < batch.splits; first += 8u) {
      //: for n
      let part$n = partials[base + min(first + $nu, batch.splits - 1u) * (HEAD_DIM + 2u) + 2u + d];
      //: end
      //: for n
      acc += sh_weight[first + $nu] * part$n;
      //: end
    }
    out[head * HEAD_DIM + d] = acc / max(sum, 1e-30);
  }
}
