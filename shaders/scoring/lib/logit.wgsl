// Logits of candidates for query heads of a row. Needs lib/candidates_*, qkv: array<vec4<f32>>, shape.

const QUADS = HEAD_DIM / 4u;

// The word at which a head's query begins in qkv.
fn query_at(row: u32, head: u32) -> u32 {
  return (row * (shape.heads + 2u * shape.kv_heads) + head) * QUADS;
}

// A candidate's key times 1 / sqrt(D), as it was before it was stored.
fn scaled_key(c: Candidate) -> array<vec4<f32>, QUADS> {
  let scale = candidate_scales(c).x * inverseSqrt(f32(HEAD_DIM));
  var key: array<vec4<f32>, QUADS>;
  for (var o = 0u; o < OCTETS_A_VECTOR; o += 1u) {
    let k = candidate_key(c, o);
    key[2u * o] = scale * k.low;
    key[2u * o + 1u] = scale * k.high;
  }
  return key;
}
