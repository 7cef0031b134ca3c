// LagKV (arXiv 2504.04704): scores of pairs by the chunk of tokens that follows theirs.
//
// After the lane's sinks, positions come in chunks of `lag` (the lane's `every`). Once the next chunk is complete a
// chunk is ranked: its keys and its values are put to the ranges of the next chunk's, channel by channel,
//   x = (v - min) / (max - min); a channel that is the same all over the next chunk counts as 0
//   s = softmax over the chunk of the standard deviation of x over the channels
// and its pairs are sorted by s(key) + s(value), of equal ones the newest highest. A score is a place in that order, in
// [0, 1). What is gone from a chunk counts as below what is left. A pair without a score has its position in
// place of it, which is above every score; all but the first position are at least 1.
//
// A score is final. Ranked anew are the chunks in which some pair has none, and all of them where the scores are
// another policy's, or as long as nothing was evicted: until then the text may have been taken back.
//
// Needs: HEAD_DIM (at most 512), PAGE_SLOTS, WORKGROUP (128), LAG (most tokens per chunk; at most WORKGROUP);
// lib/candidates_*. Workgroups: (any, G, rows of a step, or 1): of a head's chunks each takes every so many-th.
// Bytes: a chunk's pairs once and the next one's once; positions and scores of all candidates once or twice a chunk.
// Flops: 10 D per pair. Bound by latency. Workgroup memory: 80 WORKGROUP + 20 LAG (13 KiB).
//: import lib/paging

const NONE = 0xffffffffu;
const UNRANKED = 1.0; // the lowest score of a pair that has none
const HIGHEST = 3.0e38;
const NARROWEST = 1e-12; // of f16 no range but 0 is so narrow; squares stay finite
const PAIR_OCTETS = 2u * OCTETS_A_VECTOR; // a key's, then its value's
const SHARES = WORKGROUP / PAIR_OCTETS;   // pairs at a time whose ranges are taken

// @binding(1), (6) and (7) are in lib/candidates_*; (4) and (5) are what score_cache has there.
@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;

var<workgroup> sh_next: atomic<u32>;
var<workgroup> sh_chunk: u32;
var<workgroup> sh_index: array<u32, 2u * LAG>; // the candidate at each position of a chunk and the next, or NONE
var<workgroup> sh_low: array<Octet, WORKGROUP>;
var<workgroup> sh_high: array<Octet, WORKGROUP>;
var<workgroup> sh_spread: array<f32, 2u * LAG>; // of keys, then of values
var<workgroup> sh_score: array<f32, LAG>;
var<workgroup> sh_softmax: array<vec2<f32>, 2>; // largest spread, sum of exponentials: of keys, of values

struct Head {
  row: u32, kv_head: u32, count: u32, total: u32,
  sinks: u32, lag: u32,
  ready: u32, // chunks whose next one is complete
  anew: bool,
}

fn head_candidate(h: Head, index: u32) -> Candidate { return candidate_at(index, h.count, h.row, h.kv_head); }

// Octet o of a pair, as it is: of its key, then of its value.
fn pair_octet(c: Candidate, o: u32) -> Octet {
  let scales = candidate_scales(c);
  if (o < OCTETS_A_VECTOR) {
    let k = candidate_key(c, o);
    return Octet(k.low * scales.x, k.high * scales.x);
  }
  let v = candidate_value(c, o - OCTETS_A_VECTOR);
  return Octet(v.low * scales.y, v.high * scales.y);
}

// The first chunk from `first` on which this workgroup has to rank; `ready` and above: none. It looks at scores of its
// own chunks alone, which no other workgroup writes.
fn next_chunk(t: u32, h: Head, first: u32, own: u32, groups: u32) -> u32 {
  if (t == 0u) { atomicStore(&sh_next, NONE); }
  workgroupBarrier();
  for (var i = t; i < h.total; i += WORKGROUP) {
    let c = head_candidate(h, i);
    let position = candidate_position(c);
    if (position < h.sinks) { continue; }
    let chunk = (position - h.sinks) / h.lag;
    if (chunk < first || chunk >= h.ready || chunk % groups != own) { continue; }
    if (h.anew || candidate_score(c) >= UNRANKED) { atomicMin(&sh_next, chunk); }
  }
  workgroupBarrier();
  if (t == 0u) { sh_chunk = atomicLoad(&sh_next); }
  return workgroupUniformLoad(&sh_chunk);
}

fn find_members(t: u32, h: Head, begin: u32) {
  for (var i = t; i < 2u * h.lag; i += WORKGROUP) { sh_index[i] = NONE; }
  workgroupBarrier();
  for (var i = t; i < h.total; i += WORKGROUP) {
    let position = candidate_position(head_candidate(h, i));
    if (position >= begin && position - begin < 2u * h.lag) { sh_index[position - begin] = i; }
  }
  workgroupBarrier();
}

fn inverse_range(low: vec4<f32>, high: vec4<f32>) -> vec4<f32> {
  let range = high - low;
  return select(vec4<f32>(), 1.0 / max(range, vec4<f32>(NARROWEST)), range > vec4<f32>(NARROWEST));
}

// Leaves the next chunk's minima in sh_low and one over its ranges in sh_high, [PAIR_OCTETS].
fn find_ranges(t: u32, h: Head) {
  let o = t % PAIR_OCTETS;
  let share = t / PAIR_OCTETS; // SHARES and above: threads left over
  var low = Octet(vec4<f32>(HIGHEST), vec4<f32>(HIGHEST));
  var high = Octet(vec4<f32>(-HIGHEST), vec4<f32>(-HIGHEST));
  if (share < SHARES) {
    for (var m = h.lag + share; m < 2u * h.lag; m += SHARES) {
      if (sh_index[m] == NONE) { continue; }
      let x = pair_octet(head_candidate(h, sh_index[m]), o);
      low = Octet(min(low.low, x.low), min(low.high, x.high));
      high = Octet(max(high.low, x.low), max(high.high, x.high));
    }
  }
  sh_low[t] = low;
  sh_high[t] = high;
  workgroupBarrier();
  if (t < PAIR_OCTETS) {
    for (var s = 1u; s < SHARES; s += 1u) {
      let l = sh_low[s * PAIR_OCTETS + t];
      let u = sh_high[s * PAIR_OCTETS + t];
      low = Octet(min(low.low, l.low), min(low.high, l.high));
      high = Octet(max(high.low, u.low), max(high.high, u.high));
    }
    sh_low[t] = low;
    sh_high[t] = Octet(inverse_range(low.low, high.low), inverse_range(low.high, high.high));
  }
  workgroupBarrier();
}

// Standard deviation (of D - 1) of a key or value over its channels, in the next chunk's ranges.
fn spread_of(c: Candidate, first: u32) -> f32 {
  var sum = 0.0;
  var squares = 0.0;
  for (var o = first; o < first + OCTETS_A_VECTOR; o += 1u) {
    let x = pair_octet(c, o);
    // Around the middle, so that sums of squares stay exact enough.
    let low = (x.low - sh_low[o].low) * sh_high[o].low - 0.5;
    let high = (x.high - sh_low[o].high) * sh_high[o].high - 0.5;
    sum += dot(low, vec4<f32>(1.0)) + dot(high, vec4<f32>(1.0));
    squares += dot(low, low) + dot(high, high);
  }
  let size = f32(HEAD_DIM);
  return sqrt(max(0.0, squares - sum * sum / size) / (size - 1.0));
}

// Maximum and sum for the softmax over the chunk's spreads of keys (`part` 0) or values (1).
fn softmax_of(h: Head, part: u32) -> vec2<f32> {
  var largest = 0.0;
  for (var m = 0u; m < h.lag; m += 1u) {
    if (sh_index[m] != NONE) { largest = max(largest, sh_spread[part * h.lag + m]); }
  }
  var sum = 0.0;
  for (var m = 0u; m < h.lag; m += 1u) {
    if (sh_index[m] != NONE) { sum += exp(sh_spread[part * h.lag + m] - largest); }
  }
  return vec2<f32>(largest, sum);
}

fn rank_chunk(t: u32, h: Head, chunk: u32) {
  find_members(t, h, h.sinks + chunk * h.lag);
  find_ranges(t, h);
  for (var i = t; i < 2u * h.lag; i += WORKGROUP) {
    let index = sh_index[i % h.lag];
    if (index == NONE) { continue; }
    sh_spread[i] = spread_of(head_candidate(h, index), i / h.lag * OCTETS_A_VECTOR);
  }
  workgroupBarrier();
  if (t < 2u) { sh_softmax[t] = softmax_of(h, t); }
  workgroupBarrier();
  if (t < h.lag) {
    let keys = exp(sh_spread[t] - sh_softmax[0].x) / sh_softmax[0].y;
    let values = exp(sh_spread[h.lag + t] - sh_softmax[1].x) / sh_softmax[1].y;
    sh_score[t] = keys + values;
  }
  workgroupBarrier();
  if (t < h.lag && sh_index[t] != NONE) {
    let own = sh_score[t];
    var above = 0u;
    for (var m = 0u; m < h.lag; m += 1u) {
      let higher = sh_score[m] > own || (sh_score[m] == own && m > t);
      above += u32(sh_index[m] != NONE && higher);
    }
    set_candidate_score(head_candidate(h, sh_index[t]), f32(h.lag - 1u - above) / f32(h.lag));
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let work = work_of(group.z);
  let row = table_row(shape, work.lane, group.y);
  let count = tables[row];
  let total = count + work.rows;
  // Not this policy's, not yet, or nothing will be evicted before the next time.
  if (!work.due || total == 0u || total + work.ahead <= tables[row + 1u]) { return; }
  let sinks = lanes[work.lane].sinks;
  let lag = clamp(lanes[work.lane].every, 1u, LAG);
  let seen = work.last + 1u;
  let complete = (seen - min(seen, sinks)) / lag;
  let ready = max(complete, 1u) - 1u;
  let h = Head(row, group.y, count, total, sinks, lag, ready, work.anew || total == seen);
  if (h.anew && group.x == 0u) {
    // What has no score, and what has one that it should not have.
    for (var i = t; i < total; i += WORKGROUP) {
      let c = head_candidate(h, i);
      let position = candidate_position(c);
      if (position < sinks || (position - sinks) / lag >= ready) { set_candidate_score(c, f32(position)); }
    }
  }
  var first = 0u;
  loop {
    let chunk = next_chunk(t, h, first, group.x, groups.x);
    if (chunk >= ready) { break; }
    rank_chunk(t, h, chunk);
    first = chunk + 1u;
  }
}
