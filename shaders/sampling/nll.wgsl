// Loss of known next tokens: nll[r] = log(sum_v exp(logits[r, v])) - logits[r, target[r]].
// Needs: WORKGROUP (a power of two). Workgroups: (M), one pass with an online maximum. Bytes: 4 V a row.

struct Nll { vocabulary: u32, out: u32, pad0: u32, pad1: u32 } // out: where nll[0] goes

@group(0) @binding(0) var<uniform> params: Nll;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [M, V]
@group(0) @binding(2) var<storage, read> targets: array<u32>; // [M]
@group(0) @binding(3) var<storage, read_write> nll: array<f32>;

var<workgroup> sh_max: array<f32, WORKGROUP>;
var<workgroup> sh_sum: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let base = group.x * params.vocabulary;
  var highest = -3.0e38;
  var sum = 0.0;
  for (var v = t; v < params.vocabulary; v += WORKGROUP) {
    let x = logits[base + v];
    let higher = max(highest, x);
    sum = sum * exp(highest - higher) + exp(x - higher);
    highest = higher;
  }
  sh_max[t] = highest;
  sh_sum[t] = sum;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) {
      let higher = max(sh_max[t], sh_max[t + stride]);
      sh_sum[t] = sh_sum[t] * exp(sh_max[t] - higher) + sh_sum[t + stride] * exp(sh_max[t + stride] - higher);
      sh_max[t] = higher;
    }
  }
  if (t == 0u) {
    nll[params.out + group.x] = sh_max[0] + log(sh_sum[0]) - logits[base + targets[group.x]];
  }
}
