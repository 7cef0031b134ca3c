// Keys and values as scores are computed from them: sixteen dimensions at a time, those that RoPE turns together; sums of
// them over a workgroup; and vectors that a workgroup shares.
// Needs: HEAD_DIM (a multiple of 16), WORKGROUP, CONTEXT (6, or 1 where nothing reads the vectors from PLAIN_ANCHOR on),
// SHARED (expected queries that lie in workgroup memory: all of them, or none).
//: import scoring/lib/score_head
//: import scoring/lib/score_sums
//: import lib/rope

@group(0) @binding(5) var<storage, read> rope_table: array<vec2<f32>>;

const HALF_DIM = HEAD_DIM / 2u;
const QUADS = HEAD_DIM / 4u;
const HALF_OCTETS = OCTETS_A_VECTOR / 2u; // threads that share a key
const SHARES = WORKGROUP / HALF_OCTETS;   // keys at a time, where threads share them

// Vectors [D] that the workgroup shares; those before MOVING_QUERY are the context (CONTEXT of them; lib/joined).
const ANCHOR = 0u;            // direction of the mean unit key; PLAIN_ANCHOR: of keys as before RoPE
const PLAIN_ANCHOR = 1u;
const MEAN = 2u;              // of each channel: of keys as before RoPE, then of values
const INVERSE_DEVIATION = 4u; // the same two
const MOVING_QUERY = CONTEXT; // SHARED: the expected queries, turned to the present
var<workgroup> sh_vectors: array<vec4<f32>, (MOVING_QUERY + SHARED) * QUADS>;

// Dimensions [8 o, 8 o + 8) of a key and their partners D/2 further on: what RoPE turns together.
struct Pairs { low: Octet, high: Octet }

fn key_pairs(c: Candidate, o: u32) -> Pairs {
  return Pairs(candidate_key(c, o), candidate_key(c, o + HALF_OCTETS));
}

fn square_of(k: Pairs) -> f32 {
  return dot(k.low.low, k.low.low) + dot(k.low.high, k.low.high)
    + dot(k.high.low, k.high.low) + dot(k.high.high, k.high.high);
}

// Where a token of the lane stands for RoPE.
fn standing(lane: u32, position: u32) -> u32 {
  return rope_position(position, lanes[lane].folds, shape.stride);
}

// cos and sin of pairs i to i + 3 at a position, as (cosines, sines).
fn angles(position: u32, i: u32) -> array<vec4<f32>, 2> {
  let a = rope_angle(position, i);
  let b = rope_angle(position, i + 1u);
  let c = rope_angle(position, i + 2u);
  let d = rope_angle(position, i + 3u);
  return array<vec4<f32>, 2>(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y));
}

// Turned back by `position`: where it stands, a key is then what it was before RoPE.
fn turned_back(k: Pairs, position: u32, o: u32) -> Pairs {
  let a = angles(position, 8u * o);
  let b = angles(position, 8u * o + 4u);
  return Pairs(
    Octet(k.low.low * a[0] + k.high.low * a[1], k.low.high * b[0] + k.high.high * b[1]),
    Octet(k.high.low * a[0] - k.low.low * a[1], k.high.high * b[0] - k.low.high * b[1]),
  );
}

// Dimensions [8 o, 8 o + 8) and their partners of a head's vector that begins at quad `first`.
fn head_pairs(first: u32, o: u32) -> Pairs {
  let low = first + 2u * o;
  let high = low + QUADS / 2u;
  return Pairs(Octet(head_data[low], head_data[low + 1u]), Octet(head_data[high], head_data[high + 1u]));
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

fn multiplied(a: Pairs, b: Pairs) -> Pairs {
  return Pairs(
    Octet(a.low.low * b.low.low, a.low.high * b.low.high), Octet(a.high.low * b.high.low, a.high.high * b.high.high),
  );
}

// Dimensions of a key as before RoPE, or of a value, as they are.
fn plain_key_pairs(c: Candidate, lane: u32, o: u32) -> Pairs {
  return scaled(turned_back(key_pairs(c, o), standing(lane, candidate_position(c)), o), candidate_scales(c).x);
}
fn value_pairs(c: Candidate, o: u32) -> Pairs {
  return scaled(Pairs(candidate_value(c, o), candidate_value(c, o + HALF_OCTETS)), candidate_scales(c).y);
}

// Dimensions [8 o, 8 o + 8) and their partners of a shared vector.
fn vector_pairs(vector: u32, o: u32) -> Pairs {
  let q = vector * QUADS + 2u * o;
  return Pairs(
    Octet(sh_vectors[q], sh_vectors[q + 1u]), Octet(sh_vectors[q + QUADS / 2u], sh_vectors[q + QUADS / 2u + 1u]),
  );
}
fn set_vector_pairs(vector: u32, o: u32, x: Pairs) {
  let q = vector * QUADS + 2u * o;
  sh_vectors[q] = x.low.low;
  sh_vectors[q + 1u] = x.low.high;
  sh_vectors[q + QUADS / 2u] = x.high.low;
  sh_vectors[q + QUADS / 2u + 1u] = x.high.high;
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
