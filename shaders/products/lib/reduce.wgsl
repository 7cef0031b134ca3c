// Sum over a workgroup of GROUP invocations (a power of two). Every invocation must call it.
// Needs: const GROUP.

var<workgroup> reduce_scratch: array<f32, GROUP>;

fn reduce_add(value: f32, lane: u32) -> f32 {
  reduce_scratch[lane] = value;
  workgroupBarrier();
  for (var half = GROUP / 2u; half > 0u; half /= 2u) {
    if (lane < half) { reduce_scratch[lane] += reduce_scratch[lane + half]; }
    workgroupBarrier();
  }
  let sum = reduce_scratch[0];
  workgroupBarrier();
  return sum;
}
