// Scores of all candidates of an eviction anew: scores that change with time, with what else is cached, or
// with the policy. One workgroup a kv head (and row of a step); scores are left where the candidates are.
//
// A score is the weighted sum of parts:
//   importance  what queries will look for: a sum of features times the head's coefficients (cache/policies), dot
//               products with its calibrated vectors, norms, age, and -cos(key, mean of the unit keys of all
//               candidates), KeyDiff (arXiv 2504.15364)
//   novelty     the last of these of keys as before RoPE
//   key spread, value spread
//               how far keys (as before RoPE) and values stray: root mean square over the channels of the distance
//               from the channel's mean over the candidates, in its deviations there. LagKV (arXiv 2504.04704) puts
//               a pair to the ranges of the chunk that follows instead
// With STANDARDISE each part is divided by its standard deviation over the candidates, so that parts of
// different units add up; a constant shift changes no choice. With POOL rows of a prompt block then take the
// highest score among POOL rows on either side: what is kept is kept with its surroundings. With OBSERVED
// ln(attention that was observed) is added, both divided by their deviations.
//
// Needs: HEAD_DIM (a multiple of 16), PAGE_SLOTS, WORKGROUP (64 or 256), HEAD_STRIDE, QUERIES (expected queries a head,
// at least 1); what is used: MOVING, PAIR_NORM,
// QUADRATIC, VALUE, NOVELTY, PLAIN_NOVELTY, SPREAD, STANDARDISE, POOL, OBSERVED; lib/candidates_*, lib/rope,
// lib/score. Workgroups: (1, G, rows of a step, or 1).
// Bytes: a key (and value) a candidate, read once for each of anchor, channels, deviations, scores. Flops: 2 D a feature
// and candidate (D^2 for QUADRATIC). Workgroup memory: 5 WORKGROUP + (QUERIES + 6) D f32 (15 KiB at WORKGROUP 256,
// D 256, QUERIES 4). There are only G workgroups, each bound by the latency of its loads: the more threads, the
// fewer rounds of them.

const HALF_DIM = HEAD_DIM / 2u;
const QUADS = HEAD_DIM / 4u;
const HALF_OCTETS = OCTETS_A_VECTOR / 2u; // threads that share a key
const SHARES = WORKGROUP / HALF_OCTETS;   // keys at a time, where threads share them
const TINY = 1e-30;
const LOWEST = -3.0e38;

// @binding(1), (6) and (7) are in lib/candidates_*; with OBSERVED (8) is the attention that was observed.
@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> lanes: array<Lane>;
@group(0) @binding(4) var<storage, read> head_data: array<f32>; // [L, G, HEAD_STRIDE]
@group(0) @binding(5) var<storage, read> rope_table: array<vec2<f32>>;

// A head's part of head_data: coefficients, then vectors (src/kernels/head-data.ts has the same order).
const FILTER_DOT = 0u;
const NORM = 1u;
const POSITION = 2u;
const RANDOM = 3u;
const MOVING_DOT = 4u;
const PAIR_NORM_DOT = 5u;
const QUADRATIC_FORM = 6u;
const LOG_VALUE = 7u;
const LOG_AGE = 8u;
const NOVEL = 9u;
const PART_WEIGHTS = 10u; // of importance, novelty, key spread, value spread, observed attention
const FILTER = 16u;                       // [D]
const EXPECTED_QUERY = FILTER + HEAD_DIM; // [QUERIES, D], before RoPE
const PAIR_WEIGHTS = EXPECTED_QUERY + QUERIES * HEAD_DIM; // [D/2]
const COVARIANCE = PAIR_WEIGHTS + HALF_DIM;     // [D, D], before RoPE, where QUADRATIC

var<workgroup> sh_moving: array<vec4<f32>, QUERIES * QUADS>; // the expected queries, turned to the present
var<workgroup> sh_anchor: array<vec4<f32>, QUADS>; // of unit length
var<workgroup> sh_plain_anchor: array<vec4<f32>, QUADS>;
var<workgroup> sh_mean: array<vec4<f32>, 2u * QUADS>; // of each channel of keys as before RoPE, then of values
var<workgroup> sh_inverse_deviation: array<vec4<f32>, 2u * QUADS>;
var<workgroup> sh_sums: array<vec4<f32>, WORKGROUP>;
var<workgroup> sh_tile: array<f32, WORKGROUP + 2u * POOL>; // a number a candidate

// Dimensions [8 o, 8 o + 8) of a key and their partners D/2 further on: what RoPE turns together.
struct Pairs { low: Octet, high: Octet }

fn key_pairs(c: Candidate, o: u32) -> Pairs {
  return Pairs(candidate_key(c, o), candidate_key(c, o + HALF_OCTETS));
}

fn square_of(k: Pairs) -> f32 {
  return dot(k.low.low, k.low.low) + dot(k.low.high, k.low.high)
    + dot(k.high.low, k.high.low) + dot(k.high.high, k.high.high);
}

// cos and sin of pairs i to i + 3 at a position, as (cosines, sines).
fn angles(position: u32, i: u32) -> array<vec4<f32>, 2> {
  let a = rope_angle(position, i);
  let b = rope_angle(position, i + 1u);
  let c = rope_angle(position, i + 2u);
  let d = rope_angle(position, i + 3u);
  return array<vec4<f32>, 2>(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y));
}

// Turned back by `position`: at its own position a key is then what it was before RoPE.
fn turned_back(k: Pairs, position: u32, o: u32) -> Pairs {
  let a = angles(position, 8u * o);
  let b = angles(position, 8u * o + 4u);
  return Pairs(
    Octet(k.low.low * a[0] + k.high.low * a[1], k.low.high * b[0] + k.high.high * b[1]),
    Octet(k.high.low * a[0] - k.low.low * a[1], k.high.high * b[0] - k.low.high * b[1]),
  );
}

fn head_quad(i: u32) -> vec4<f32> {
  return vec4<f32>(head_data[i], head_data[i + 1u], head_data[i + 2u], head_data[i + 3u]);
}

// Dimensions [8 o, 8 o + 8) and their partners of a head's vector that begins at `first`.
fn head_pairs(first: u32, o: u32) -> Pairs {
  let low = first + 8u * o;
  let high = low + HALF_DIM;
  return Pairs(
    Octet(head_quad(low), head_quad(low + 4u)),
    Octet(head_quad(high), head_quad(high + 4u)),
  );
}

fn dot_pairs(a: Pairs, b: Pairs) -> f32 {
  return dot(a.low.low, b.low.low) + dot(a.low.high, b.low.high)
    + dot(a.high.low, b.high.low) + dot(a.high.high, b.high.high);
}

fn add_scaled(sum: Pairs, k: Pairs, x: f32) -> Pairs {
  return Pairs(
    Octet(sum.low.low + x * k.low.low, sum.low.high + x * k.low.high),
    Octet(sum.high.low + x * k.high.low, sum.high.high + x * k.high.high),
  );
}

fn scaled(k: Pairs, x: f32) -> Pairs {
  return Pairs(Octet(x * k.low.low, x * k.low.high), Octet(x * k.high.low, x * k.high.high));
}

// The expected queries as they will be at position `last`.
fn turn_expected_queries(t: u32, base: u32, last: u32) {
  for (var i = t; i < QUERIES * QUADS / 2u; i += WORKGROUP) {
    let query = i / (QUADS / 2u);
    let q = i % (QUADS / 2u);
    let first = base + EXPECTED_QUERY + query * HEAD_DIM;
    let low = head_quad(first + 4u * q);
    let high = head_quad(first + HALF_DIM + 4u * q);
    let a = angles(last, 4u * q);
    sh_moving[query * QUADS + q] = low * a[0] - high * a[1];
    sh_moving[query * QUADS + q + QUADS / 2u] = high * a[0] + low * a[1];
  }
}

// What one quad of every thread adds up to, for the octet that thread t < HALF_OCTETS has. Every thread must call it.
fn sum_of_shares(mine: vec4<f32>, t: u32) -> vec4<f32> {
  workgroupBarrier();
  sh_sums[t] = mine;
  workgroupBarrier();
  var sum = vec4<f32>();
  if (t < HALF_OCTETS) {
    for (var s = 0u; s < SHARES; s += 1u) { sum += sh_sums[s * HALF_OCTETS + t]; }
  }
  return sum;
}
fn sum_of_pairs(mine: Pairs, t: u32) -> Pairs {
  return Pairs(
    Octet(sum_of_shares(mine.low.low, t), sum_of_shares(mine.low.high, t)),
    Octet(sum_of_shares(mine.high.low, t), sum_of_shares(mine.high.high, t)),
  );
}

struct Head { lane: u32, last: u32, total: u32, count: u32, row: u32, kv_head: u32, base: u32 }

// KeyDiff's anchor: the direction of the mean of all candidates' unit keys.
fn find_anchors(t: u32, h: Head) {
  let o = t % HALF_OCTETS;
  let share = t / HALF_OCTETS; // SHARES and above: threads left over
  var sum: Pairs;
  var plain: Pairs;
  for (var start = 0u; start < h.total; start += WORKGROUP) {
    if (start + t < h.total) {
      let c = candidate_at(start + t, h.count, h.row, h.kv_head);
      var square = 0.0;
      for (var i = 0u; i < HALF_OCTETS; i += 1u) { square += square_of(key_pairs(c, i)); }
      sh_tile[t] = inverseSqrt(max(square, TINY));
    }
    workgroupBarrier();
    let end = select(0u, min(WORKGROUP, h.total - start), share < SHARES);
    for (var i = share; i < end; i += SHARES) {
      let c = candidate_at(start + i, h.count, h.row, h.kv_head);
      let k = key_pairs(c, o);
      if (NOVELTY) { sum = add_scaled(sum, k, sh_tile[i]); }
      if (PLAIN_NOVELTY) { plain = add_scaled(plain, turned_back(k, candidate_position(c), o), sh_tile[i]); }
    }
    workgroupBarrier();
  }
  let q = 2u * t;
  if (NOVELTY) {
    let all = sum_of_pairs(sum, t);
    if (t < HALF_OCTETS) {
      sh_anchor[q] = all.low.low;
      sh_anchor[q + 1u] = all.low.high;
      sh_anchor[q + QUADS / 2u] = all.high.low;
      sh_anchor[q + QUADS / 2u + 1u] = all.high.high;
    }
  }
  if (PLAIN_NOVELTY) {
    let all = sum_of_pairs(plain, t);
    if (t < HALF_OCTETS) {
      sh_plain_anchor[q] = all.low.low;
      sh_plain_anchor[q + 1u] = all.low.high;
      sh_plain_anchor[q + QUADS / 2u] = all.high.low;
      sh_plain_anchor[q + QUADS / 2u + 1u] = all.high.high;
    }
  }
}

// Dimensions of a key as before RoPE (`of_values` 0) or of a value (1), as they are.
fn plain_pairs(c: Candidate, of_values: u32, o: u32) -> Pairs {
  let scales = candidate_scales(c);
  if (of_values == 1u) {
    let low = candidate_value(c, o);
    let high = candidate_value(c, o + HALF_OCTETS);
    return scaled(Pairs(low, high), scales.y);
  }
  return scaled(turned_back(key_pairs(c, o), candidate_position(c), o), scales.x);
}

// One over the standard deviation of each channel, from sums over `total`, as deviations from `origin`, and of squares;
// 0 of a channel that is the same of all.
fn channel_deviation(origin: vec4<f32>, mean: vec4<f32>, square: vec4<f32>) -> vec4<f32> {
  let variance = square - mean * mean;
  let level = origin + mean;
  return select(vec4<f32>(), inverseSqrt(max(variance, vec4<f32>(TINY))), variance > 1e-10 * level * level);
}

// Mean and deviation of each channel over all candidates, from a candidate's distance to one in their middle: the
// first of a prompt are unlike the others, and sums of squares must stay exact enough.
fn find_channels(t: u32, h: Head) {
  let o = t % HALF_OCTETS;
  let share = t / HALF_OCTETS; // SHARES and above: threads left over
  let total = f32(h.total);
  for (var of_values = 0u; of_values < 2u; of_values += 1u) {
    let origin = plain_pairs(candidate_at(h.total / 2u, h.count, h.row, h.kv_head), of_values, o);
    // Set to 0 in words: see quadratic_form.
    var sum = scaled(origin, 0.0);
    var squares = sum;
    let end = select(0u, h.total, share < SHARES);
    for (var i = share; i < end; i += SHARES) {
      let c = candidate_at(i, h.count, h.row, h.kv_head);
      let x = add_scaled(plain_pairs(c, of_values, o), origin, -1.0);
      sum = add_scaled(sum, x, 1.0);
      squares = Pairs(
        Octet(squares.low.low + x.low.low * x.low.low, squares.low.high + x.low.high * x.low.high),
        Octet(squares.high.low + x.high.low * x.high.low, squares.high.high + x.high.high * x.high.high),
      );
    }
    let mean = scaled(sum_of_pairs(sum, t), 1.0 / total);
    let square = scaled(sum_of_pairs(squares, t), 1.0 / total);
    if (t < HALF_OCTETS) {
      let at = of_values * QUADS + 2u * t;
      sh_mean[at] = origin.low.low + mean.low.low;
      sh_mean[at + 1u] = origin.low.high + mean.low.high;
      sh_mean[at + QUADS / 2u] = origin.high.low + mean.high.low;
      sh_mean[at + QUADS / 2u + 1u] = origin.high.high + mean.high.high;
      sh_inverse_deviation[at] = channel_deviation(origin.low.low, mean.low.low, square.low.low);
      sh_inverse_deviation[at + 1u] = channel_deviation(origin.low.high, mean.low.high, square.low.high);
      sh_inverse_deviation[at + QUADS / 2u] = channel_deviation(origin.high.low, mean.high.low, square.high.low);
      sh_inverse_deviation[at + QUADS / 2u + 1u]
        = channel_deviation(origin.high.high, mean.high.high, square.high.high);
    }
  }
}

// Of dimensions [8 o, 8 o + 8) and their partners: the sum of squared distances from the channels' means, in their deviations.
fn strayed(x: Pairs, of_values: u32, o: u32) -> f32 {
  let at = of_values * QUADS + 2u * o;
  let a = (x.low.low - sh_mean[at]) * sh_inverse_deviation[at];
  let b = (x.low.high - sh_mean[at + 1u]) * sh_inverse_deviation[at + 1u];
  let c = (x.high.low - sh_mean[at + QUADS / 2u]) * sh_inverse_deviation[at + QUADS / 2u];
  let d = (x.high.high - sh_mean[at + QUADS / 2u + 1u]) * sh_inverse_deviation[at + QUADS / 2u + 1u];
  return dot(a, a) + dot(b, b) + dot(c, c) + dot(d, d);
}

// One over the anchors' lengths.
fn inverse_lengths() -> vec2<f32> {
  var squares = vec2<f32>();
  for (var q = 0u; q < QUADS; q += 1u) {
    if (NOVELTY) { squares.x += dot(sh_anchor[q], sh_anchor[q]); }
    if (PLAIN_NOVELTY) { squares.y += dot(sh_plain_anchor[q], sh_plain_anchor[q]); }
  }
  return inverseSqrt(max(squares, vec2<f32>(TINY)));
}

fn moving_pairs(query: u32, o: u32) -> Pairs {
  let q = query * QUADS + 2u * o;
  return Pairs(
    Octet(sh_moving[q], sh_moving[q + 1u]), Octet(sh_moving[q + QUADS / 2u], sh_moving[q + QUADS / 2u + 1u]),
  );
}
fn anchor_pairs(o: u32) -> Pairs {
  let q = 2u * o;
  return Pairs(
    Octet(sh_anchor[q], sh_anchor[q + 1u]), Octet(sh_anchor[q + QUADS / 2u], sh_anchor[q + QUADS / 2u + 1u]),
  );
}
fn plain_anchor_pairs(o: u32) -> Pairs {
  let q = 2u * o;
  return Pairs(
    Octet(sh_plain_anchor[q], sh_plain_anchor[q + 1u]),
    Octet(sh_plain_anchor[q + QUADS / 2u], sh_plain_anchor[q + QUADS / 2u + 1u]),
  );
}

// k' S k of a key turned back to where the expected query is as before RoPE; S is symmetric.
fn quadratic_form(c: Candidate, last: u32, covariance: u32) -> f32 {
  var sum = 0.0;
  for (var o = 0u; o < HALF_OCTETS; o += 1u) {
    let k = turned_back(key_pairs(c, o), last, o);
    // Row i of S times k, for the dimensions of k. Set to 0 in words: some adapters keep what a loop's last round left.
    var image = Pairs(Octet(vec4<f32>(), vec4<f32>()), Octet(vec4<f32>(), vec4<f32>()));
    for (var p = 0u; p < HALF_OCTETS; p += 1u) {
      let other = turned_back(key_pairs(c, p), last, p);
      for (var i = 0u; i < 4u; i += 1u) {
        let row = covariance + (8u * o + i) * HEAD_DIM;
        image.low.low[i] += dot_pairs(other, head_pairs(row, p));
        image.low.high[i] += dot_pairs(other, head_pairs(row + 4u * HEAD_DIM, p));
        image.high.low[i] += dot_pairs(other, head_pairs(row + HALF_DIM * HEAD_DIM, p));
        image.high.high[i] += dot_pairs(other, head_pairs(row + (HALF_DIM + 4u) * HEAD_DIM, p));
      }
    }
    sum += dot_pairs(k, image);
  }
  return sum;
}

fn log_value_norm(c: Candidate, scale: f32) -> f32 {
  var square = 0.0;
  for (var o = 0u; o < OCTETS_A_VECTOR; o += 1u) {
    let v = candidate_value(c, o);
    square += dot(v.low, v.low) + dot(v.high, v.high);
  }
  return log(max(scale * sqrt(square), 1e-6));
}

// ln of the sum of exp(key . query) over the expected queries; of one, the dot product itself.
fn expected_logit(dots: array<f32, QUERIES>) -> f32 {
  var highest = dots[0];
  for (var i = 1u; i < QUERIES; i += 1u) { highest = max(highest, dots[i]); }
  if (QUERIES == 1u) { return highest; }
  var sum = 0.0;
  for (var i = 0u; i < QUERIES; i += 1u) { sum += exp(dots[i] - highest); }
  return highest + log(sum);
}

// Importance, novelty, key spread and value spread, unweighted.
fn parts_of(c: Candidate, h: Head, inverse_anchors: vec2<f32>) -> vec4<f32> {
  let position = candidate_position(c);
  let scales = candidate_scales(c);
  var square = 0.0;
  var filter_dot = 0.0;
  var moving = array<f32, QUERIES>();
  var pair_norm = 0.0;
  var anchored = vec2<f32>();
  var spread = vec2<f32>();
  for (var o = 0u; o < HALF_OCTETS; o += 1u) {
    let k = key_pairs(c, o);
    square += square_of(k);
    filter_dot += dot_pairs(k, head_pairs(h.base + FILTER, o));
    if (MOVING) {
      for (var i = 0u; i < QUERIES; i += 1u) { moving[i] += scales.x * dot_pairs(k, moving_pairs(i, o)); }
    }
    if (PAIR_NORM) {
      let first = sqrt(k.low.low * k.low.low + k.high.low * k.high.low);
      let second = sqrt(k.low.high * k.low.high + k.high.high * k.high.high);
      let at = h.base + PAIR_WEIGHTS + 8u * o;
      pair_norm += dot(first, head_quad(at)) + dot(second, head_quad(at + 4u));
    }
    if (NOVELTY) { anchored.x += dot_pairs(k, anchor_pairs(o)); }
    if (PLAIN_NOVELTY || SPREAD) {
      let plain = turned_back(k, position, o);
      if (PLAIN_NOVELTY) { anchored.y += dot_pairs(plain, plain_anchor_pairs(o)); }
      if (SPREAD) {
        spread.x += strayed(scaled(plain, scales.x), 0u, o);
        spread.y += strayed(plain_pairs(c, 1u, o), 1u, o);
      }
    }
  }
  anchored *= inverse_anchors * inverseSqrt(max(square, TINY));
  let data = h.base;
  var importance = scales.x * (head_data[data + FILTER_DOT] * filter_dot
    + head_data[data + NORM] * sqrt(square)
    + head_data[data + PAIR_NORM_DOT] * pair_norm);
  if (MOVING) { importance += head_data[data + MOVING_DOT] * expected_logit(moving); }
  importance += head_data[data + POSITION] * f32(position)
    + head_data[data + LOG_AGE] * log(f32(h.last - min(h.last, position)) + 1.0);
  if (head_data[data + RANDOM] != 0.0) {
    let head = shape.layer * shape.kv_heads + h.kv_head;
    importance += head_data[data + RANDOM] * position_hash(position, head, lanes[h.lane].seed);
  }
  if (QUADRATIC) {
    let form = quadratic_form(c, h.last, data + COVARIANCE);
    importance += head_data[data + QUADRATIC_FORM] * scales.x * scales.x * form;
  }
  if (VALUE) { importance += head_data[data + LOG_VALUE] * log_value_norm(c, scales.y); }
  if (NOVELTY) { importance -= head_data[data + NOVEL] * anchored.x; }
  return vec4<f32>(importance, -anchored.y, sqrt(spread / f32(HEAD_DIM)));
}

// What all threads' `mine` add up to. Every thread must call it.
fn sum_of_threads(t: u32, mine: vec4<f32>) -> vec4<f32> {
  workgroupBarrier();
  sh_sums[t] = mine;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) { sh_sums[t] += sh_sums[t + stride]; }
  }
  workgroupBarrier();
  return sh_sums[0];
}

// One over the standard deviations that sums and sums of squares over `total` tell, as deviations from
// `origin`; 0 of a part that is the same of all. Every thread must call it, with its own sums.
fn inverse_deviations(t: u32, total: u32, origin: vec4<f32>, sum: vec4<f32>, squares: vec4<f32>) -> vec4<f32> {
  let mean = sum_of_threads(t, sum) / f32(total);
  return channel_deviation(origin, mean, sum_of_threads(t, squares) / f32(total));
}

// Scores all candidates, but for what the block's rows share. The parts of the first are the origin of deviations: sums of
// squares then stay exact enough. In three rounds of one loop, since what is inlined costs compilers as often as it is called.
fn score_all(t: u32, h: Head, inverse_anchors: vec2<f32>) {
  var weights = head_quad(h.base + PART_WEIGHTS);
  var origin = vec4<f32>();
  var sum = vec4<f32>();
  var squares = vec4<f32>();
  for (var round = select(2u, 0u, STANDARDISE); round < 3u; round += 1u) {
    let end = select(h.total, 1u, round == 0u);
    for (var i = select(t, 0u, round == 0u); i < end; i += WORKGROUP) {
      let c = candidate_at(i, h.count, h.row, h.kv_head);
      let x = parts_of(c, h, inverse_anchors);
      if (round == 0u) {
        origin = x;
      } else if (round == 1u) {
        sum += x - origin;
        squares += (x - origin) * (x - origin);
      } else {
        set_candidate_score(c, dot(weights, x));
      }
    }
    if (round == 1u) { weights *= inverse_deviations(t, h.total, origin, sum, squares); }
  }
}

// Gives every row of the block the highest score among POOL rows on either side, tile by tile: `sh_tile` has a
// tile's scores as they were, with POOL of its neighbours' on either side.
fn pool_block(t: u32, h: Head) {
  for (var start = h.count; start < h.total; start += WORKGROUP) {
    // The last POOL of the tile before are not in the pages any more.
    var before = 0.0;
    if (t < POOL) { before = sh_tile[WORKGROUP + t]; }
    workgroupBarrier();
    if (t < POOL) { sh_tile[t] = select(before, LOWEST, start == h.count); }
    for (var i = t; i < WORKGROUP + POOL; i += WORKGROUP) {
      var score = LOWEST;
      if (start + i < h.total) { score = candidate_score(candidate_at(start + i, h.count, h.row, h.kv_head)); }
      sh_tile[POOL + i] = score;
    }
    workgroupBarrier();
    if (start + t < h.total) {
      var highest = LOWEST;
      for (var d = 0u; d <= 2u * POOL; d += 1u) { highest = max(highest, sh_tile[t + d]); }
      set_candidate_score(candidate_at(start + t, h.count, h.row, h.kv_head), highest);
    }
    storageBarrier();
    workgroupBarrier();
  }
}

// Adds the logarithm of observed attention, both in units of their deviations.
fn add_observed(t: u32, h: Head, weight: f32) {
  var sum = vec4<f32>();
  var squares = vec4<f32>();
  let first = candidate_score(candidate_at(0u, h.count, h.row, h.kv_head));
  let origin = vec4<f32>(first, log_observed(h.kv_head, 0u), 0.0, 0.0);
  for (var i = t; i < h.total; i += WORKGROUP) {
    let score = candidate_score(candidate_at(i, h.count, h.row, h.kv_head));
    let x = vec4<f32>(score, log_observed(h.kv_head, i), 0.0, 0.0) - origin;
    sum += x;
    squares += x * x;
  }
  let inverse = inverse_deviations(t, h.total, origin, sum, squares);
  for (var i = t; i < h.total; i += WORKGROUP) {
    let c = candidate_at(i, h.count, h.row, h.kv_head);
    set_candidate_score(c, candidate_score(c) * inverse.x + weight * inverse.y * log_observed(h.kv_head, i));
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let work = work_of(group.z);
  let kv_head = group.y;
  let row = table_row(shape, work.lane, kv_head);
  let count = tables[row];
  let total = count + work.rows;
  // Not this policy's, not yet, or nothing will be evicted before the next time.
  if (!work.due || total == 0u || total + work.ahead <= tables[row + 1u]) { return; }
  let base = (shape.layer * shape.kv_heads + kv_head) * HEAD_STRIDE;
  let h = Head(work.lane, work.last, total, count, row, kv_head, base);
  if (MOVING) { turn_expected_queries(t, base, work.last); }
  if (NOVELTY || PLAIN_NOVELTY) { find_anchors(t, h); }
  if (SPREAD) { find_channels(t, h); }
  workgroupBarrier();
  let inverse_anchors = inverse_lengths();
  score_all(t, h, inverse_anchors);
  if (POOL > 0u) {
    storageBarrier();
    workgroupBarrier();
    pool_block(t, h);
  }
  // All threads read the first candidate's score.
  storageBarrier();
  workgroupBarrier();
  if (OBSERVED) { add_observed(t, h, head_data[base + PART_WEIGHTS + 4u]); }
}
