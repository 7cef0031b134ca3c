// What a row of logits says, before anything is done to it: log(sum_v exp(logits[v])), and its highest logits, the lowest
// token first among equals. A logit that is no number counts as the least.
//
// One workgroup. Needs VOCABULARY, WORKGROUP (a power of two), ENTRY. Bytes: 4 V, and 4 V / WORKGROUP for each of the highest.
//: import sampling/lib/sampling

struct Top { count: u32, pad0: u32, pad1: u32, pad2: u32 } // how many of the highest are wanted

@group(0) @binding(0) var<uniform> sampling: Sampling;
@group(0) @binding(1) var<uniform> highest: Top;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
// [rows, ENTRY]: the logarithm, the logit of the token that is drawn, then (token, logit) of the highest; NO_INDEX: no more.
@group(0) @binding(3) var<storage, read_write> scores: array<u32>;

var<workgroup> best: array<Best, WORKGROUP>;
var<workgroup> maxima: array<f32, WORKGROUP>;
var<workgroup> sums: array<f32, WORKGROUP>;

fn logit_at(v: u32) -> f32 {
  let logit = logits[sampling.logits_row * VOCABULARY + v];
  let is_nan = (bitcast<u32>(logit) & 0x7fffffffu) > 0x7f800000u;
  return clamp(select(logit, LEAST, is_nan), LEAST, -LEAST);
}

// The best of a thread's tokens that comes after `last`.
fn next_best(thread: u32, last: Best) -> Best {
  var found = Best(LEAST, NO_INDEX);
  for (var v = thread; v < VOCABULARY; v += WORKGROUP) {
    let candidate = Best(logit_at(v), v);
    if (better(last, candidate) && better(candidate, found)) { found = candidate; }
  }
  return found;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) thread: u32) {
  let out = sampling.logits_row * ENTRY;
  var maximum = LEAST;
  var sum = 0.0;
  var own = Best(LEAST, NO_INDEX);
  for (var v = thread; v < VOCABULARY; v += WORKGROUP) {
    let x = logit_at(v);
    let higher = max(maximum, x);
    sum = sum * exp(maximum - higher) + exp(x - higher);
    maximum = higher;
    if (better(Best(x, v), own)) { own = Best(x, v); }
  }
  maxima[thread] = maximum;
  sums[thread] = sum;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      let higher = max(maxima[thread], maxima[thread + stride]);
      sums[thread] = sums[thread] * exp(maxima[thread] - higher) + sums[thread + stride] * exp(maxima[thread + stride] - higher);
      maxima[thread] = higher;
    }
  }
  if (thread == 0u) { scores[out] = bitcast<u32>(maxima[0] + log(sums[0])); }
  for (var i = 0u; i < highest.count; i++) {
    best[thread] = own;
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
      workgroupBarrier();
      if (thread < stride && better(best[thread + stride], best[thread])) { best[thread] = best[thread + stride]; }
    }
    workgroupBarrier();
    let top = best[0];
    if (thread == 0u) {
      scores[out + 2u + 2u * i] = top.index;
      scores[out + 3u + 2u * i] = bitcast<u32>(top.value);
    }
    if (own.index == top.index) { own = next_best(thread, top); }
    workgroupBarrier();
  }
}
