// Takes tokens out of a row of logits before a token is drawn from it: those whose bit in `mask` is 0 become the least number.
//
// Needs VOCABULARY. Workgroups: (ceil(V / 2048)), 32 logits per word of the mask and 8 per thread. Bytes: 4 V at most, which are
// written, and V / 8.
//: import sampling/lib/sampling

@group(0) @binding(0) var<uniform> sampling: Sampling;
@group(0) @binding(1) var<storage, read> mask: array<u32>;  // [ceil(V / 32)]: token t is bit t % 32 of word t / 32
@group(0) @binding(2) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = sampling.logits_row * VOCABULARY;
  let end = min(VOCABULARY, (group.x + 1u) * 2048u);
  for (var i = group.x * 2048u + thread; i < end; i += 256u) {
    if (((mask[i / 32u] >> (i % 32u)) & 1u) == 0u) { logits[row + i] = LEAST; }
  }
}
