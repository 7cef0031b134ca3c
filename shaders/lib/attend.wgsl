// One invocation attends with QUERIES queries of a kv head to KEYS keys, everything in registers.
// For CPU adapters, where an invocation is a lane of SIMD: loads are dear, workgroup memory is cleared by
// every invocation, and a `var` is a masked store, so sums are single expressions. Compilation takes seconds
// beyond about 256 QUERIES * D. Needs: HEAD_DIM, LOWEST, QUERIES, KEYS, WINDOW (0: none); loops written out by unroll: h < QUERIES,
// o < D / 8, n < KEYS. What follows `source` is repeated for each binding that
// holds pages, under its name (lib/pages_STORAGE.wgsl, read units).

struct State {
  last: array<u32, QUERIES>, // query h sees rows <= last[h], of the last WINDOW
  highest: array<f32, QUERIES>,
  sum: array<f32, QUERIES>,
  query: array<vec4<f32>, QUERIES * HEAD_DIM / 4u>, // times 1 / sqrt(D)
  acc: array<vec4<f32>, QUERIES * HEAD_DIM / 4u>,
}

// Where a key and its value begin, in units, and the word of their scales.
struct Place {
  key: u32,
  value: u32,
  scales: u32,
  row: u32, // in the prompt block; in the cache 0, or with a WINDOW ~(tokens between it and row 0), as if negative;
            // NO_ROW = not there, though its words can be read
}
const NO_ROW = 0x80000000u;

// What an invocation ends with: its own sums' share of an output, and that of what was dropped, times the sum of both.
struct Joined { highest: f32, own: f32, rest: f32 }

fn sees(last: u32, row: u32) -> bool {
  if (WINDOW > 0u) { return last - row < WINDOW; }
  return row <= last;
}


//: source
fn source_place(page: u32, slot: u32, row: u32) -> Place {
  return Place(source_key(page, slot), source_value(page, slot), source_scale_word(page, slot), row);
}

fn attend_source(s: ptr<function, State>, places: array<Place, KEYS>) {
  //: for n
  let scales$n = source_scales(places[$n].scales);
  //: for o
  let key$n_$o = source_octet(places[$n].key + $ou * SOURCE_OCTET_UNITS);
  //: end
  //: for h
  let visible$n_$h = sees((*s).last[$h], places[$n].row);
  let logit$n_$h = select(
    LOWEST,
    scales$n.x * (0.0
    //: for o
      + dot((*s).query[$hu * HEAD_DIM / 4u + $o.even], key$n_$o.low)
      + dot((*s).query[$hu * HEAD_DIM / 4u + $o.odd], key$n_$o.high)
    //: end
    ), visible$n_$h,
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
  //: for n
  let share$n_$h = scales$n.y * weight$n_$h;
  //: end
  //: end
  //: for o
  //: for n
  let value$n_$o = source_octet(places[$n].value + $ou * SOURCE_OCTET_UNITS);
  //: end
  //: for h
  (*s).acc[$hu * HEAD_DIM / 4u + $o.even] = rescale$h * (*s).acc[$hu * HEAD_DIM / 4u + $o.even]
  //: for n
    + share$n_$h * value$n_$o.low
  //: end
  ;
  (*s).acc[$hu * HEAD_DIM / 4u + $o.odd] = rescale$h * (*s).acc[$hu * HEAD_DIM / 4u + $o.odd]
  //: for n
    + share$n_$h * value$n_$o.high
  //: end
  ;
  //: end
  //: end
}
