// One invocation attends with QUERIES queries of a kv head to KEYS keys, everything in registers.
// For CPU adapters, where an invocation is a lane of SIMD: loads are dear, workgroup memory is cleared by
// every invocation, and a `var` is a masked store, so sums are single expressions. Compilation takes seconds
// beyond about 256 QUERIES * D. Needs: HEAD_DIM, LOWEST, QUERIES, KEYS, WINDOW (0: none); loops written out by unroll: h < QUERIES,
// o < D / 8, n < KEYS. attend_SOURCE is repeated for each binding (array<vec4<u32>>) that holds pages.

struct State {
  last: array<u32, QUERIES>, // query h sees rows <= last[h], of the last WINDOW
  highest: array<f32, QUERIES>,
  sum: array<f32, QUERIES>,
  query: array<vec4<f32>, QUERIES * HEAD_DIM / 4u>, // times 1 / sqrt(D)
  acc: array<vec4<f32>, QUERIES * HEAD_DIM / 4u>,
}

// Where a key and its value begin, in runs of 4 words.
struct Place {
  key: u32,
  value: u32,
  row: u32, // in the prompt block; in the cache 0, or with a WINDOW ~(tokens between it and row 0), as if negative;
            // NO_ROW = not there, though its words can be read
}
const NO_ROW = 0x80000000u;

fn sees(last: u32, row: u32) -> bool {
  if (WINDOW > 0u) { return last - row < WINDOW; }
  return row <= last;
}

fn place(page: u32, slot: u32, row: u32) -> Place {
  return Place(key_word(page, slot) / 4u, value_word(page, slot) / 4u, row);
}
fn low_half(packed: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y));
}
fn high_half(packed: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(packed.z), unpack2x16float(packed.w));
}

//: source
fn attend_SOURCE(s: ptr<function, State>, places: array<Place, KEYS>) {
  //: for n
  //: for o
  let key$n_$o = SOURCE[places[$n].key + $ou];
  let low$n_$o = low_half(key$n_$o);
  let high$n_$o = high_half(key$n_$o);
  //: end
  //: for h
  let visible$n_$h = sees((*s).last[$h], places[$n].row);
  let logit$n_$h = select(
    LOWEST,
    0.0
    //: for o
      + dot((*s).query[$hu * HEAD_DIM / 4u + $o.even], low$n_$o)
      + dot((*s).query[$hu * HEAD_DIM / 4u + $o.odd], high$n_$o)
    //: end
    , visible$n_$h,
  );
  //: end
  //: end
  //: for h
  var highest$h = (*s).highest[$h];
  //: for n
  highest$h = max(highest$h, logit$n_$h);
  //: end
  let rescale$h = exp((*s).highest[$h] - highest$h);
  //: for n
  let weight$n_$h = select(0.0, exp(logit$n_$h - highest$h), visible$n_$h);
  //: end
  (*s).highest[$h] = highest$h;
  (*s).sum[$h] = rescale$h * (*s).sum[$h]
  //: for n
    + weight$n_$h
  //: end
  ;
  //: end
  //: for o
  //: for n
  let value$n_$o = SOURCE[places[$n].value + $ou];
  let value_low$n_$o = low_half(value$n_$o);
  let value_high$n_$o = high_half(value$n_$o);
  //: end
  //: for h
  (*s).acc[$hu * HEAD_DIM / 4u + $o.even] = rescale$h * (*s).acc[$hu * HEAD_DIM / 4u + $o.even]
  //: for n
    + weight$n_$h * value_low$n_$o
  //: end
  ;
  (*s).acc[$hu * HEAD_DIM / 4u + $o.odd] = rescale$h * (*s).acc[$hu * HEAD_DIM / 4u + $o.odd]
  //: for n
    + weight$n_$h * value_high$n_$o
  //: end
  ;
  //: end
  //: end
}
