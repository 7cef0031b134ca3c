// The parts of a candidate's score, for score_cache (the first alone) and, with JOINED, for score_parts (all four).
// Needs: QUERIES (expected queries a head, at least 1), SHARED (QUERIES or 0); what is used: MOVING,
// PAIR_NORM, QUADRATIC, VALUE, NOVELTY, JOINED. Loops written out by unroll: e < QUERIES.
//: import scoring/lib/score_pairs
//: import scoring/lib/score_spread
//: import lib/score

const FILTER = VECTORS;                   // [D]
const EXPECTED_QUERY = FILTER + QUADS;    // [QUERIES, D], before RoPE
const PAIR_WEIGHTS = EXPECTED_QUERY + QUERIES * QUADS; // [D/2]
const COVARIANCE = PAIR_WEIGHTS + QUADS / 2u;          // [D, D], before RoPE, where QUADRATIC

// The expected queries as they will be where the newest token stands, if there is room for them.
fn turn_expected_queries(t: u32, h: Head) {
  let last = standing(h.lane, h.last);
  for (var i = t; i < SHARED * QUADS / 2u; i += WORKGROUP) {
    let query = i / (QUADS / 2u);
    let q = i % (QUADS / 2u);
    let first = h.base + EXPECTED_QUERY + query * QUADS + q;
    let low = head_data[first];
    let high = head_data[first + QUADS / 2u];
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
        let row = covariance + (8u * o + i) * QUADS;
        image.low.low[i] += dot_pairs(other, head_pairs(row, p));
        image.low.high[i] += dot_pairs(other, head_pairs(row + 4u * QUADS, p));
        image.high.low[i] += dot_pairs(other, head_pairs(row + HALF_DIM * QUADS, p));
        image.high.high[i] += dot_pairs(other, head_pairs(row + (HALF_DIM + 4u) * QUADS, p));
      }
    }
    sum += dot_pairs(k, image);
  }
  return sum;
}

// Importance, novelty, key spread and value spread, unweighted.
fn parts_of(c: Candidate, h: Head) -> vec4<f32> {
  let position = candidate_position(c);
  let scales = candidate_scales(c);
  let last = standing(h.lane, h.last);
  var square = 0.0;
  var filter_dot = 0.0;
  //: for e
  var expected$e = 0.0;
  //: end
  var pair_norm = 0.0;
  var anchored = vec2<f32>();
  var spread = vec2<f32>();
  var value_square = 0.0;
  for (var o = 0u; o < HALF_OCTETS; o += 1u) {
    let k = key_pairs(c, o);
    square += square_of(k);
    filter_dot += dot_pairs(k, head_pairs(h.base + FILTER, o));
    if (MOVING && SHARED > 0u) {
      //: for e
      expected$e += dot_pairs(k, vector_pairs(MOVING_QUERY + $eu, o));
      //: end
    }
    if (MOVING && SHARED == 0u) {
      // Turning the key back is the same as turning the queries.
      let back = turned_back(k, last, o);
      //: for e
      expected$e += dot_pairs(back, head_pairs(h.base + EXPECTED_QUERY + $eu * QUADS, o));
      //: end
    }
    if (PAIR_NORM) {
      let first = sqrt(k.low.low * k.low.low + k.high.low * k.high.low);
      let second = sqrt(k.low.high * k.low.high + k.high.high * k.high.high);
      let at = h.base + PAIR_WEIGHTS + 2u * o;
      pair_norm += dot(first, head_data[at]) + dot(second, head_data[at + 1u]);
    }
    if (NOVELTY) { anchored.x += dot_pairs(k, vector_pairs(ANCHOR, o)); }
    if (JOINED) {
      let plain = turned_back(k, standing(h.lane, position), o);
      anchored.y += dot_pairs(plain, vector_pairs(PLAIN_ANCHOR, o));
      spread.x += strayed(scaled(plain, scales.x), 0u, o);
    }
    if (VALUE || JOINED) {
      let value = value_pairs(c, o);
      if (VALUE) { value_square += square_of(value); }
      if (JOINED) { spread.y += strayed(value, 1u, o); }
    }
  }
  anchored *= inverseSqrt(max(square, TINY));
  let first = head_data[h.base + FIRST_COEFFICIENTS];
  let second = head_data[h.base + SECOND_COEFFICIENTS];
  let third = head_data[h.base + THIRD_COEFFICIENTS];
  var importance = scales.x * (first.x * filter_dot + first.y * sqrt(square) + second.y * pair_norm);
  if (MOVING) {
    // ln of the sum of exp(key . query) over the expected queries; of one, the dot product itself.
    var highest = expected0;
    //: for e
    highest = max(highest, expected$e);
    //: end
    var sum = 0.0;
    //: for e
    sum += exp(scales.x * (expected$e - highest));
    //: end
    importance += second.x * (scales.x * highest + log(sum));
  }
  importance += first.z * f32(position) + third.x * log(f32(h.last - min(h.last, position)) + 1.0);
  if (first.w != 0.0) {
    let head = shape.layer * shape.kv_heads + h.kv_head;
    importance += first.w * position_hash(position, head, lanes[h.lane].seed);
  }
  if (QUADRATIC) {
    let form = quadratic_form(c, last, h.base + COVARIANCE);
    importance += second.z * scales.x * scales.x * form;
  }
  if (VALUE) { importance += second.w * log(max(sqrt(value_square), 1e-6)); }
  if (NOVELTY) { importance -= third.y * anchored.x; }
  return vec4<f32>(importance, -anchored.y, sqrt(spread / f32(HEAD_DIM)));
}
