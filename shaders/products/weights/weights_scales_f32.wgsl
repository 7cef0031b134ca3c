// Scale and minimum of a block of 32 weights in f32 (K types). Needs: scales: array<vec2<f32>>.
fn scale_pair(block: u32) -> vec2<f32> {
  return scales[block];
}
