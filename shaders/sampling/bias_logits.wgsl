// Adds a bias to some logits of a row before a token is drawn from it. Workgroups: (ceil(n / 64)). Needs VOCABULARY.
//: import sampling/lib/sampling

@group(0) @binding(0) var<uniform> sampling: Sampling;
@group(0) @binding(1) var<storage, read> biases: array<vec2<u32>>; // [n]: token, bias as f32 bits; each token once
@group(0) @binding(2) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&biases)) {
    let bias = biases[id.x];
    logits[sampling.logits_row * VOCABULARY + bias.x] += bitcast<f32>(bias.y);
  }
}
