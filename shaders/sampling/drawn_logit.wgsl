// The logit of the token that was drawn last, beside what top_logits says of the row.
//
// One invocation. Needs VOCABULARY, ENTRY, RING.
// Tested in kernels/sampling/top-logits.
//: import sampling/lib/sampling

@group(0) @binding(0) var<uniform> sampling: Sampling;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> sampled: array<u32>; // as in sample.wgsl
@group(0) @binding(3) var<storage, read_write> scores: array<u32>;

@compute @workgroup_size(1)
fn main() {
  let token = sampled[4u + 4u * ((sampled[0] - 1u) % RING)];
  scores[sampling.logits_row * ENTRY + 1u] = bitcast<u32>(logits[sampling.logits_row * VOCABULARY + token]);
}
