// A request's sampling parameters: `samplingWords` in src/kernels/sampling/sample.ts.
struct Sampling {
  temperature: f32,
  top_p: f32,
  min_p_distance: f32,  // -ln(min_p)
  repetition: f32,
  frequency: f32,
  presence: f32,
  top_k: u32,           // 0 = off
  seed_low: u32,
  seed_high: u32,
  logits_row: u32,
  row: u32,
  pad: u32,
}

// The higher value wins, then the lower index.
struct Best { value: f32, index: u32 }

fn better(a: Best, b: Best) -> bool {
  return a.value > b.value || (a.value == b.value && a.index < b.index);
}

const LEAST = -3.4e38;
const NO_INDEX = 0x7fffffffu;
// Bit of an index: some logit that its thread saw is NaN or infinite.
const BROKEN = 0x80000000u;
