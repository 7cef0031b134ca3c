// Scale and minimum of a block of 32 weights, two halves in one word. Needs: scales: array<u32>.
fn scale_pair(block: u32) -> vec2<f32> {
  return unpack2x16float(scales[block]);
}
