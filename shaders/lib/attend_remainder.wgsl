// What an invocation of lib/attend begins with: what was dropped, as one more pair; nothing where `dropped` is 0.
// Needs: lib/attend, lib/remainder; loops written out by unroll: h < QUERIES, o < D / 8.

fn begin_with_remainder(s: ptr<function, State>, remainder: u32, dropped: f32) {
  let n = max(dropped, 1.0);
  let there = dropped > 0.0;
  //: for o
  let keys$o = remainder_keys(remainder, $ou);
  let values$o = remainder_values(remainder, $ou);
  //: end
  //: for h
  (*s).highest[$h] = select(
    LOWEST,
    remainder_logit(0.0
    //: for o
      + dot((*s).query[$hu * HEAD_DIM / 4u + $o.even], keys$o.low)
      + dot((*s).query[$hu * HEAD_DIM / 4u + $o.odd], keys$o.high)
    //: end
    , n), there,
  );
  (*s).sum[$h] = select(0.0, 1.0, there);
  //: for o
  (*s).acc[$hu * HEAD_DIM / 4u + $o.even] = select(vec4<f32>(), values$o.low / n, there);
  (*s).acc[$hu * HEAD_DIM / 4u + $o.odd] = select(vec4<f32>(), values$o.high / n, there);
  //: end
  //: end
}
