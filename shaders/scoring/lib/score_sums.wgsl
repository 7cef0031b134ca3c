// Sums over the threads of a workgroup, and deviations from them. Needs: WORKGROUP.

const TINY = 1e-30;

var<workgroup> sh_sums: array<vec4<f32>, WORKGROUP>;

// The sum of all threads' `mine`. Every thread must call it.
fn sum_of_threads(t: u32, mine: vec4<f32>) -> vec4<f32> {
  workgroupBarrier();
  sh_sums[t] = mine;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) { sh_sums[t] += sh_sums[t + stride]; }
  }
  workgroupBarrier();
  return sh_sums[0];
}

// One over standard deviations, from the means of differences to `origin` and of their squares; 0 of what is the same of all.
fn inverse_deviation(origin: vec4<f32>, mean: vec4<f32>, square: vec4<f32>) -> vec4<f32> {
  let variance = square - mean * mean;
  let level = origin + mean;
  return select(vec4<f32>(), inverseSqrt(max(variance, vec4<f32>(TINY))), variance > 1e-10 * level * level);
}
