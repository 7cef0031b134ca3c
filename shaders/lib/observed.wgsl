// The attention that `observe` saw of each candidate, beside the scores: f32 [G, as many as there is room for].

@group(0) @binding(8) var<storage, read> observed: array<f32>;

fn log_observed(kv_head: u32, index: u32) -> f32 {
  return log(observed[kv_head * (arrayLength(&observed) / shape.kv_heads) + index] + 1e-6);
}
