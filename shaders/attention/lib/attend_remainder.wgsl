// What an invocation of lib/attend ends with: what was dropped, as one more pair, joined to its sums. In loops that are not
// written out, and so with queries read anew: it is one pair, and code takes long to compile.
// Needs: lib/attend, qkv: array<vec4<f32>>; loops written out by unroll: h < QUERIES.
//: import lib/remainder

// The logit of the remainder for query h, whose first quad in qkv is at[h], times 1 / sqrt(D); LOWEST where `dropped` is 0.
fn remainder_logits(at: array<u32, QUERIES>, remainder: u32, dropped: f32) -> array<f32, QUERIES> {
  //: for h
  var sum$h = 0.0;
  //: end
  for (var o = 0u; o < select(0u, HEAD_DIM / 8u, dropped > 0.0); o += 1u) {
    let keys = remainder_keys(remainder, o);
    //: for h
    sum$h += dot(qkv[at[$h] + 2u * o], keys.low) + dot(qkv[at[$h] + 2u * o + 1u], keys.high);
    //: end
  }
  let n = max(dropped, 1.0);
  return array<f32, QUERIES>(
    //: for h
    select(LOWEST, remainder_logit(inverseSqrt(f32(HEAD_DIM)) * sum$h, n), dropped > 0.0),
    //: end
  );
}

fn join_remainder(highest: f32, logit: f32) -> Joined {
  let above = max(highest, logit);
  return Joined(above, exp(highest - above), select(0.0, exp(logit - above), logit > LOWEST));
}
