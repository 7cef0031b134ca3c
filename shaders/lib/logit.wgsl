// The logit of a candidate for a query head of a row. Needs lib/candidates_*, qkv, shape.

fn logit(c: Candidate, query_row: u32, head: u32) -> f32 {
  let at = (query_row * (shape.heads + 2u * shape.kv_heads) + head) * HEAD_DIM;
  var sum = 0.0;
  for (var o = 0u; o < OCTETS_A_VECTOR; o += 1u) {
    let k = candidate_key(c, o);
    let q = at + 8u * o;
    sum += dot(k.low, vec4<f32>(qkv[q], qkv[q + 1u], qkv[q + 2u], qkv[q + 3u]))
      + dot(k.high, vec4<f32>(qkv[q + 4u], qkv[q + 5u], qkv[q + 6u], qkv[q + 7u]));
  }
  return sum * candidate_scales(c).x * inverseSqrt(f32(HEAD_DIM));
}
