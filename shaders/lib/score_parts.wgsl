// The parts of a score, for score_cache. Needs: lib/score_pairs, lib/score_spread, lib/score, Head, head_data and where a head
// has what in it; MOVING, PAIR_NORM, QUADRATIC, VALUE, NOVELTY, PLAIN_NOVELTY, SPREAD.

// The expected queries as they will be at position `last`.
fn turn_expected_queries(t: u32, base: u32, last: u32) {
  for (var i = t; i < QUERIES * QUADS / 2u; i += WORKGROUP) {
    let query = i / (QUADS / 2u);
    let q = i % (QUADS / 2u);
    let first = base + EXPECTED_QUERY + query * HEAD_DIM;
    let low = head_quad(first + 4u * q);
    let high = head_quad(first + HALF_DIM + 4u * q);
    let a = angles(last, 4u * q);
    let at = (MOVING_QUERY + query) * QUADS + q;
    sh_vectors[at] = low * a[0] - high * a[1];
    sh_vectors[at + QUADS / 2u] = high * a[0] + low * a[1];
  }
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
  var value_square = 0.0;
  for (var o = 0u; o < HALF_OCTETS; o += 1u) {
    let k = key_pairs(c, o);
    square += square_of(k);
    filter_dot += dot_pairs(k, head_pairs(h.base + FILTER, o));
    if (MOVING) {
      for (var i = 0u; i < QUERIES; i += 1u) { moving[i] += scales.x * dot_pairs(k, vector_pairs(MOVING_QUERY + i, o)); }
    }
    if (PAIR_NORM) {
      let first = sqrt(k.low.low * k.low.low + k.high.low * k.high.low);
      let second = sqrt(k.low.high * k.low.high + k.high.high * k.high.high);
      let at = h.base + PAIR_WEIGHTS + 8u * o;
      pair_norm += dot(first, head_quad(at)) + dot(second, head_quad(at + 4u));
    }
    if (NOVELTY) { anchored.x += dot_pairs(k, vector_pairs(ANCHOR, o)); }
    if (PLAIN_NOVELTY || SPREAD) {
      let plain = turned_back(k, position, o);
      if (PLAIN_NOVELTY) { anchored.y += dot_pairs(plain, vector_pairs(PLAIN_ANCHOR, o)); }
      if (SPREAD) { spread.x += strayed(scaled(plain, scales.x), 0u, o); }
    }
    if (VALUE || SPREAD) {
      let value = plain_pairs(c, 1u, o);
      if (VALUE) { value_square += square_of(value); }
      if (SPREAD) { spread.y += strayed(value, 1u, o); }
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
  if (VALUE) { importance += head_data[data + LOG_VALUE] * log(max(sqrt(value_square), 1e-6)); }
  if (NOVELTY) { importance -= head_data[data + NOVEL] * anchored.x; }
  return vec4<f32>(importance, -anchored.y, sqrt(spread / f32(HEAD_DIM)));
}
