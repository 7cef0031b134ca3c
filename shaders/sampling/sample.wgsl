// Draws a token from logits after penalties: temperature, top-k, top-p, min-p, inverse of the cumulative distribution.
//
// Nothing is sorted. Top-k, top-p and min-p each keep the tokens within some distance of the top logit, and
// the distance is found as the token is: digit by digit, each pass a histogram over DIGIT bits whose bins are added up
// until the wanted amount is reached. An amount is a number of tokens (top-k) or a probability mass (top-p,
// draw) in 64-bit fixed point, so that sums do not depend on the order of the atomics.
//
// One workgroup. Needs BLOCK, RING, THREADS (16 or
// more), DIGIT (4 or more): software adapters take long to compile workgroup memory, and clear it in every invocation,
// so they have fewer of both, and a pass more.
//: import lib/batch
//: import sampling/lib/sampling
//: import sampling/lib/random
//: import sampling/lib/wide

@group(0) @binding(0) var<uniform> sampling: Sampling;
@group(0) @binding(1) var<storage, read> scratch: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;  // [V]
@group(0) @binding(3) var<storage, read_write> rows: array<Row>;
// [steps done, cutoff in DISTANCE_UNIT, 0, 0], then RING times (token, step, position, state of the logits).
@group(0) @binding(4) var<storage, read_write> sampled: array<u32>;

const TOP_K = 0u;
const TOP_P = 1u;
const DRAW = 2u;

// Distances below the top logit, in fixed point of 27 bits. Beyond 31 a token has no mass: exp(-31) < 2^-44.
const DISTANCE_UNIT = 4194304.0;  // 2^22
const MAX_DISTANCE = 31.99999;
const EVERYTHING = 0xffffffffu;

const BINS = 1u << DIGIT;
const RUN = BINS / 16u; // bins that a thread adds up

var<workgroup> low: array<atomic<u32>, BINS>;
var<workgroup> high: array<atomic<u32>, BINS>;
var<workgroup> sums: array<vec2<u32>, 16>;
var<workgroup> found: vec4<u32>;

fn distance(i: u32, top: f32) -> f32 {
  return min(min(top - bitcast<f32>(scratch[i]), 1e30) / max(sampling.temperature, 1e-7), MAX_DISTANCE);
}

// Beyond what any logit comes to that is a number: of those that are none, or of the clamped infinities.
const HOPELESS = 1e37;

var<workgroup> broken: atomic<u32>;
var<workgroup> best_shared: array<Best, THREADS>;

// The best of all threads, in every thread after a barrier.
fn workgroup_best(thread: u32, own: Best) -> Best {
  best_shared[thread] = own;
  workgroupBarrier();
  if (thread < 16u) {
    var best = best_shared[thread];
    for (var t = thread + 16u; t < THREADS; t += 16u) {
      if (better(best_shared[t], best)) { best = best_shared[t]; }
    }
    best_shared[thread] = best;
  }
  workgroupBarrier();
  var best = best_shared[0];
  for (var t = 1u; t < 16u; t++) {
    if (better(best_shared[t], best)) { best = best_shared[t]; }
  }
  return best;
}

// exp(-distance) in units of 2^-44: fewer than 2^20 of them add up to less than 2^64.
fn mass(distance: f32) -> vec2<u32> {
  let scaled = exp(-distance) * 4096.0;
  let whole = floor(scaled);
  return vec2<u32>(u32((scaled - whole) * 4294967296.0), u32(whole));
}

fn add_to_bin(bin: u32, amount: vec2<u32>) {
  let before = atomicAdd(&low[bin], amount.x);
  let carry = u32(before + amount.x < before);
  if (amount.y + carry != 0u) { atomicAdd(&high[bin], amount.y + carry); }
}

fn bin_amount(bin: u32) -> vec2<u32> {
  return vec2<u32>(atomicLoad(&low[bin]), atomicLoad(&high[bin]));
}

// What must be reached of `total`.
fn wanted(mode: u32, total: vec2<u32>) -> vec2<u32> {
  if (mode == TOP_K) { return vec2<u32>(sampling.top_k, 0u); }
  if (mode == TOP_P) {
    let part = wide_scale(total, u32(sampling.top_p * 4294967296.0));
    return select(part, vec2<u32>(1u, 0u), all(part == vec2<u32>(0u)));
  }
  let bits = random_bits(sampling.seed_low, sampling.seed_high, sampled[0]);
  return wide_add(wide_scale(total, bits), vec2<u32>(1u, 0u));
}

// The least key (distance; for DRAW index) at which the amounts of tokens up to it and within `cutoff` reach the wanted.
fn descend(thread: u32, mode: u32, top: f32, cutoff: u32) -> u32 {
  let by_index = mode == DRAW;
  let vocabulary = arrayLength(&counts);
  let bits = select(27u, 32u - countLeadingZeros(vocabulary - 1u), by_index);
  let steps = (bits + DIGIT - 1u) / DIGIT;
  var prefix = 0u;
  var rest = vec2<u32>(0u);
  for (var step = 0u; step < steps; step++) {
    let shift = DIGIT * (steps - 1u - step);
    for (var b = thread; b < BINS; b += THREADS) {
      atomicStore(&low[b], 0u);
      atomicStore(&high[b], 0u);
    }
    workgroupBarrier();
    let begin = select(0u, prefix << (shift + DIGIT), by_index);
    let end = select(vocabulary, min(vocabulary, begin + (BINS << shift)), by_index);
    for (var i = begin + thread; i < end; i += THREADS) {
      let d = distance(i, top);
      let fixed = u32(d * DISTANCE_UNIT);
      let key = select(fixed, i, by_index) >> shift;
      let bin = key & (BINS - 1u);
      if (fixed <= cutoff && (key >> DIGIT) == prefix) {
        if (mode == TOP_K) { atomicAdd(&low[bin], 1u); } else { add_to_bin(bin, mass(d)); }
      }
    }
    workgroupBarrier();
    if (thread < 16u) {
      var sum = vec2<u32>(0u);
      for (var b = RUN * thread; b < RUN * thread + RUN; b++) { sum = wide_add(sum, bin_amount(b)); }
      sums[thread] = sum;
    }
    workgroupBarrier();
    if (thread == 0u) {
      if (step == 0u) {
        var total = vec2<u32>(0u);
        for (var g = 0u; g < 16u; g++) { total = wide_add(total, sums[g]); }
        rest = wanted(mode, total);
      }
      var group = 0u;
      while (group < 15u && wide_less(sums[group], rest)) {
        rest = wide_subtract(rest, sums[group]);
        group++;
      }
      var bin = RUN * group;
      while (bin < RUN * group + RUN - 1u && wide_less(bin_amount(bin), rest)) {
        rest = wide_subtract(rest, bin_amount(bin));
        bin++;
      }
      found = vec4<u32>(bin, rest, 0u);
    }
    let digit = workgroupUniformLoad(&found);
    prefix = (prefix << DIGIT) | digit.x;
    rest = digit.yz;
  }
  return prefix;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  let vocabulary = arrayLength(&counts);
  let parts = 256u * ((vocabulary + BLOCK - 1u) / BLOCK);
  var own = Best(LEAST, NO_INDEX);
  for (var part = thread; part < parts; part += THREADS) {
    let at = vocabulary + 2u * part;
    let index = scratch[at + 1u];
    if ((index & BROKEN) != 0u) { atomicStore(&broken, 1u); }
    let other = Best(bitcast<f32>(scratch[at]), index & ~BROKEN);
    if (better(other, own)) { own = other; }
  }
  let top = workgroup_best(thread, own);

  var token = top.index;
  var cutoff = 0u;
  if (sampling.temperature > 0.0) {
    cutoff = EVERYTHING;
    // One call, not three: compilers that inline take as long as there are calls.
    for (var mode = TOP_K; mode <= DRAW; mode++) {
      if (mode == TOP_K && (sampling.top_k == 0u || sampling.top_k >= vocabulary)) { continue; }
      if (mode == TOP_P && sampling.top_p >= 1.0) { continue; }
      if (mode == DRAW) {
        cutoff = min(cutoff, u32(min(sampling.min_p_distance, MAX_DISTANCE) * DISTANCE_UNIT));
      }
      let reached = descend(thread, mode, top.value, cutoff);
      if (mode == DRAW) { token = reached; } else { cutoff = reached; }
    }
  }

  if (thread == 0u) {
    let step = sampled[0];
    rows[sampling.row].token = token;
    rows[sampling.row].position += 1u;
    // The count stays within its 16 bits.
    if ((counts[token] & 0xffffu) != 0xffffu) { counts[token] += 1u; }
    counts[token] |= 0x80000000u;
    let entry = 4u + 4u * (step % RING);
    sampled[entry] = token;
    sampled[entry + 1u] = step;
    sampled[entry + 2u] = rows[sampling.row].position;
    sampled[entry + 3u] = select(atomicLoad(&broken), 2u, abs(top.value) > HOPELESS);
    sampled[0] = step + 1u;
    sampled[1] = cutoff;
  }
}
