// The output of attention as a product's input, joined from its splits on the way in: attention_combine's sums, in its
// order. Every workgroup of the product joins all of x: splits times the reads of x, from cache, in place of a
// dispatch. Needs: x: array<f32>, partials [M, H, MAX_SPLITS, D + 2]; batch.splits; HEAD_DIM, HEADS, MAX_SPLITS.
fn input_vec(row: u32, k: u32) -> vec4<f32> {
  let head = row * HEADS + 4u * k / HEAD_DIM;
  let d = 4u * k % HEAD_DIM;
  let base = head * MAX_SPLITS * (HEAD_DIM + 2u);
  var highest = -3.0e38;
  for (var s = 0u; s < batch.splits; s++) { highest = max(highest, x[base + s * (HEAD_DIM + 2u)]); }
  var sum = 0.0;
  var acc = vec4<f32>();
  for (var s = 0u; s < batch.splits; s++) {
    let part = base + s * (HEAD_DIM + 2u);
    let weight = exp(x[part] - highest);
    sum += weight * x[part + 1u];
    let at = part + 2u + d;
    acc += weight * vec4<f32>(x[at], x[at + 1u], x[at + 2u], x[at + 3u]);
  }
  return acc / max(sum, 1e-30);
}
