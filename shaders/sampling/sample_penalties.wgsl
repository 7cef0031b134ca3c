// Repetition, frequency and presence penalties; the highest logit that each thread saw.
//
// Output: f32 bits [V] of the logits after penalties, then for each thread (highest as f32 bits, its index with BROKEN).
// One workgroup per block of BLOCK logits. No barrier: software adapters pay dearly for a workgroup that has one.
// Needs BLOCK.
// Tested in kernels/sampling/sample.
//: import sampling/lib/sampling

@group(0) @binding(0) var<uniform> sampling: Sampling;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;  // [V]: bit 31 seen, bits 0-15 times in the answer
@group(0) @binding(3) var<storage, read_write> scratch: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let vocabulary = arrayLength(&counts);
  var best = Best(LEAST, NO_INDEX);
  var broken = 0u;
  let end = min(vocabulary, (group.x + 1u) * BLOCK);
  for (var i = group.x * BLOCK + thread; i < end; i += 256u) {
    var logit = logits[sampling.logits_row * vocabulary + i];
    let bits = bitcast<u32>(logit);
    let is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    // What is infinitely unlikely is no harm.
    if (is_nan || bits == 0x7f800000u) { broken = BROKEN; }
    logit = clamp(select(logit, LEAST, is_nan), LEAST, -LEAST);
    let count = counts[i];
    if (count != 0u) {
      logit = select(logit * sampling.repetition, logit / sampling.repetition, logit > 0.0);
      let answered = count & 0xffffu;
      if (answered != 0u) { logit -= f32(answered) * sampling.frequency + sampling.presence; }
      logit = clamp(logit, LEAST, -LEAST);
    }
    scratch[i] = bitcast<u32>(logit);
    let candidate = Best(logit, i);
    if (better(candidate, best)) { best = candidate; }
  }
  let out = vocabulary + 2u * (group.x * 256u + thread);
  scratch[out] = bitcast<u32>(best.value);
  scratch[out + 1u] = best.index | broken;
}
