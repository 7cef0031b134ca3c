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
// lib/score, lib/score_*. Workgroups: (1, G, rows of a step, or 1).
// Bytes: a key (and value) a candidate, read once for each of anchor, channels, deviations, scores. Flops: 2 D a feature
// and candidate (D^2 for QUADRATIC). Workgroup memory: 5 WORKGROUP + (QUERIES + 6) D f32 (15 KiB at WORKGROUP 256,
// D 256, QUERIES 4). There are only G workgroups, each bound by the latency of its loads: the more threads, the
// fewer rounds of them.

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

var<workgroup> sh_tile: array<f32, WORKGROUP + 2u * POOL>; // a number a candidate

struct Head { lane: u32, last: u32, total: u32, count: u32, row: u32, kv_head: u32, base: u32 }

// One over the standard deviations that sums and sums of squares over `total` tell, as deviations from
// `origin`; 0 of a part that is the same of all. Every thread must call it, with its own sums.
fn inverse_deviations(t: u32, total: u32, origin: vec4<f32>, sum: vec4<f32>, squares: vec4<f32>) -> vec4<f32> {
  let mean = sum_of_threads(t, sum) / f32(total);
  return inverse_deviation(origin, mean, sum_of_threads(t, squares) / f32(total));
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
