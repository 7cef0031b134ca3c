// Scores of all candidates of an eviction anew: scores that change with time, with what else is cached, or
// with the policy. One workgroup a kv head (and row of a step); scores are left where the candidates are.
//
// A score is the sum of three parts, each a sum of features times the head's coefficients (cache/policies):
//   importance  what queries will look for: dot products with the head's calibrated vectors, norms, age
//   novelty     -cos(key, mean of the unit keys of all candidates), KeyDiff (arXiv 2504.15364)
//   observed    what the score was before: attention seen in a prompt
// With STANDARDISE each part is divided by its standard deviation over the candidates, so that parts of
// different units add up; a constant shift changes no choice.
//
// Needs: HEAD_DIM (a multiple of 16), PAGE_SLOTS, WORKGROUP (64), HEAD_STRIDE; what is used: MOVING, PAIR_NORM,
// QUADRATIC, VALUE, NOVELTY, PLAIN_NOVELTY (of keys before RoPE), OBSERVED, STANDARDISE; lib/candidates_*, lib/rope,
// lib/score. Workgroups: (1, G, rows of a step, or 1).
// Bytes: a key (and value) a candidate, read once for each of anchor, deviations, scores. Flops: 2 D a feature
// and candidate (D^2 for QUADRATIC). Workgroup memory: 16 WORKGROUP + 3 D f32 (7 KiB at D 256).

const HALF_DIM = HEAD_DIM / 2u;
const QUADS = HEAD_DIM / 4u;
const HALF_OCTETS = OCTETS_A_VECTOR / 2u; // threads that share a key
const SHARES = WORKGROUP / HALF_OCTETS;   // keys at a time, where threads share them
const TINY = 1e-30;

// @binding(1) is in lib/candidates_*.
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
const PLAIN_NOVEL = 10u;
const PART_WEIGHTS = 12u; // of importance, novelty, observed
const FILTER = 16u;                       // [D]
const EXPECTED_QUERY = FILTER + HEAD_DIM; // [D], before RoPE
const PAIR_WEIGHTS = EXPECTED_QUERY + HEAD_DIM; // [D/2]
const COVARIANCE = PAIR_WEIGHTS + HALF_DIM;     // [D, D], before RoPE, where QUADRATIC

var<workgroup> sh_moving: array<vec4<f32>, QUADS>; // the expected query, turned to the present
var<workgroup> sh_anchor: array<vec4<f32>, QUADS>; // of unit length
var<workgroup> sh_plain_anchor: array<vec4<f32>, QUADS>;
var<workgroup> sh_inverse: array<f32, WORKGROUP>;
var<workgroup> sh_sums: array<vec4<f32>, WORKGROUP * 4u>;

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

// The expected query as it will be at position `last`.
fn turn_expected_query(t: u32, base: u32, last: u32) {
  for (var q = t; q < QUADS / 2u; q += WORKGROUP) {
    let low = head_quad(base + EXPECTED_QUERY + 4u * q);
    let high = head_quad(base + EXPECTED_QUERY + HALF_DIM + 4u * q);
    let a = angles(last, 4u * q);
    sh_moving[q] = low * a[0] - high * a[1];
    sh_moving[q + QUADS / 2u] = high * a[0] + low * a[1];
  }
}

// Quad q [4] of the sum over all threads' `mine`.
fn leave(mine: Pairs, t: u32) {
  sh_sums[4u * t] = mine.low.low;
  sh_sums[4u * t + 1u] = mine.low.high;
  sh_sums[4u * t + 2u] = mine.high.low;
  sh_sums[4u * t + 3u] = mine.high.high;
}
fn left_sum(q: u32) -> vec4<f32> {
  let part = 2u * (q / (QUADS / 2u)) + q % 2u;
  let o = q % (QUADS / 2u) / 2u;
  var sum = vec4<f32>();
  for (var s = 0u; s < SHARES; s += 1u) { sum += sh_sums[4u * (s * HALF_OCTETS + o) + part]; }
  return sum;
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
      sh_inverse[t] = inverseSqrt(max(square, TINY));
    }
    workgroupBarrier();
    let end = select(0u, min(WORKGROUP, h.total - start), share < SHARES);
    for (var i = share; i < end; i += SHARES) {
      let c = candidate_at(start + i, h.count, h.row, h.kv_head);
      let k = key_pairs(c, o);
      if (NOVELTY) { sum = add_scaled(sum, k, sh_inverse[i]); }
      if (PLAIN_NOVELTY) { plain = add_scaled(plain, turned_back(k, candidate_position(c), o), sh_inverse[i]); }
    }
    workgroupBarrier();
  }
  if (NOVELTY) {
    leave(sum, t);
    workgroupBarrier();
    for (var q = t; q < QUADS; q += WORKGROUP) { sh_anchor[q] = left_sum(q); }
    workgroupBarrier();
  }
  if (PLAIN_NOVELTY) {
    leave(plain, t);
    workgroupBarrier();
    for (var q = t; q < QUADS; q += WORKGROUP) { sh_plain_anchor[q] = left_sum(q); }
    workgroupBarrier();
  }
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

fn moving_pairs(o: u32) -> Pairs {
  let q = 2u * o;
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

// Importance, novelty and what was observed, unweighted.
fn parts_of(c: Candidate, h: Head, inverse_anchors: vec2<f32>) -> vec3<f32> {
  let position = candidate_position(c);
  let scales = candidate_scales(c);
  var square = 0.0;
  var filter_dot = 0.0;
  var moving = 0.0;
  var pair_norm = 0.0;
  var anchored = vec2<f32>();
  for (var o = 0u; o < HALF_OCTETS; o += 1u) {
    let k = key_pairs(c, o);
    square += square_of(k);
    filter_dot += dot_pairs(k, head_pairs(h.base + FILTER, o));
    if (MOVING) { moving += dot_pairs(k, moving_pairs(o)); }
    if (PAIR_NORM) {
      let first = sqrt(k.low.low * k.low.low + k.high.low * k.high.low);
      let second = sqrt(k.low.high * k.low.high + k.high.high * k.high.high);
      let at = h.base + PAIR_WEIGHTS + 8u * o;
      pair_norm += dot(first, head_quad(at)) + dot(second, head_quad(at + 4u));
    }
    if (NOVELTY) { anchored.x += dot_pairs(k, anchor_pairs(o)); }
    if (PLAIN_NOVELTY) { anchored.y += dot_pairs(turned_back(k, position, o), plain_anchor_pairs(o)); }
  }
  anchored *= inverse_anchors * inverseSqrt(max(square, TINY));
  let data = h.base;
  var importance = scales.x * (head_data[data + FILTER_DOT] * filter_dot
    + head_data[data + NORM] * sqrt(square)
    + head_data[data + MOVING_DOT] * moving
    + head_data[data + PAIR_NORM_DOT] * pair_norm);
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
  let novelty = -head_data[data + NOVEL] * anchored.x - head_data[data + PLAIN_NOVEL] * anchored.y;
  var observed = 0.0;
  if (OBSERVED) { observed = candidate_score(c); }
  return vec3<f32>(importance, novelty, observed);
}

// One over the standard deviation of each part over the candidates; 0 of a part that is the same of all.
fn inverse_deviations(t: u32, h: Head, inverse_anchors: vec2<f32>) -> vec3<f32> {
  // Deviations from the first candidate's parts: sums of squares then stay exact enough.
  let origin = parts_of(candidate_at(0u, h.count, h.row, h.kv_head), h, inverse_anchors);
  var sum = vec3<f32>();
  var squares = vec3<f32>();
  for (var i = t; i < h.total; i += WORKGROUP) {
    let x = parts_of(candidate_at(i, h.count, h.row, h.kv_head), h, inverse_anchors) - origin;
    sum += x;
    squares += x * x;
  }
  workgroupBarrier();
  sh_sums[2u * t] = vec4<f32>(sum, 0.0);
  sh_sums[2u * t + 1u] = vec4<f32>(squares, 0.0);
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride) {
      sh_sums[2u * t] += sh_sums[2u * (t + stride)];
      sh_sums[2u * t + 1u] += sh_sums[2u * (t + stride) + 1u];
    }
  }
  workgroupBarrier();
  let mean = sh_sums[0].xyz / f32(h.total);
  let variance = sh_sums[1].xyz / f32(h.total) - mean * mean;
  let level = origin + mean;
  let varies = variance > 1e-10 * level * level;
  return select(vec3<f32>(), inverseSqrt(max(variance, vec3<f32>(TINY))), varies);
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
  if (MOVING) { turn_expected_query(t, base, work.last); }
  if (NOVELTY || PLAIN_NOVELTY) { find_anchors(t, h); }
  workgroupBarrier();
  let inverse_anchors = inverse_lengths();
  var weights = vec3<f32>(
    head_data[base + PART_WEIGHTS], head_data[base + PART_WEIGHTS + 1u], head_data[base + PART_WEIGHTS + 2u],
  );
  if (STANDARDISE) { weights *= inverse_deviations(t, h, inverse_anchors); }
  // From here on a thread reads the scores of its own candidates alone.
  workgroupBarrier();
  for (var i = t; i < total; i += WORKGROUP) {
    let c = candidate_at(i, count, row, kv_head);
    let parts = parts_of(c, h, inverse_anchors);
    set_candidate_score(c, dot(weights, parts));
  }
}
