// One invocation attends with QUERIES queries of a kv head to KEYS keys, everything in registers.
// For CPU adapters, where an invocation is a lane of SIMD: loads are dear, workgroup memory is cleared by
// every invocation, and a `var` is a masked store, so sums are single expressions. Compilation takes seconds
// beyond about 256 QUERIES * D.
// SHARE invocations that attend to the same keys load and unpack an octet in SHARE each (lib/quad); octet g, r of a lane's
// registers, queries and sums alike, is number g SHARE + (r ^ lane) of the head.
// Needs: HEAD_DIM, LOWEST, QUERIES, KEYS, WINDOW (0: none), lib/octet, lib/quad; loops written out by unroll: h < QUERIES, n < KEYS,
// g < D / (8 SHARE), r < SHARE. What follows `source` is repeated for each binding that
// holds pages, under its name (lib/pages_STORAGE.wgsl, read units).

struct State {
  lane: u32, // of those that share
  last: array<u32, QUERIES>, // query h sees rows <= last[h], of the last WINDOW
  highest: array<f32, QUERIES>,
  sum: array<f32, QUERIES>,
  query: array<Octet, QUERIES * OCTETS_A_VECTOR>, // times 1 / sqrt(D)
  acc: array<Octet, QUERIES * OCTETS_A_VECTOR>,
}

// The units at which a key and its value begin, and the word of their scales.
struct Place {
  key: u32,
  value: u32,
  scales: u32,
  row: u32, // in the prompt block; in the cache 0, or with a WINDOW ~(tokens between it and row 0), as if negative;
            // NO_ROW = not there, though its words can be read
}
const NO_ROW = 0x80000000u;

// The end of an invocation: its own sums' share of an output, and the remainder's share, times the sum of both.
struct Joined { highest: f32, own: f32, rest: f32 }

//: for r
fn octet_from$r(v: Octet) -> Octet { return Octet(from$r(v.low), from$r(v.high)); }
//: end
fn octet_dot(a: Octet, b: Octet) -> f32 { return dot(a.low, b.low) + dot(a.high, b.high); }

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
  //: for g
  let loaded_key$n_$g = source_octet(places[$n].key + (SHARE * $gu + (*s).lane) * SOURCE_OCTET_UNITS);
  //: for r
  let key$n_$g_$r = octet_from$r(loaded_key$n_$g);
  //: end
  //: end
  //: for h
  let visible$n_$h = sees((*s).last[$h], places[$n].row);
  let logit$n_$h = select(
    LOWEST,
    scales$n.x * (0.0
    //: for g
      + total(Quarters(
      //: for r
        octet_dot((*s).query[$hu * OCTETS_A_VECTOR + SHARE * $gu + $ru], key$n_$g_$r),
      //: end
      ))
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
  //: for g
  //: for n
  let loaded_value$n_$g = source_octet(places[$n].value + (SHARE * $gu + (*s).lane) * SOURCE_OCTET_UNITS);
  //: end
  //: for r
  //: for n
  let value$n_$g_$r = octet_from$r(loaded_value$n_$g);
  //: end
  //: for h
  (*s).acc[$hu * OCTETS_A_VECTOR + SHARE * $gu + $ru] = Octet(
    rescale$h * (*s).acc[$hu * OCTETS_A_VECTOR + SHARE * $gu + $ru].low
    //: for n
      + share$n_$h * value$n_$g_$r.low
    //: end
    ,
    rescale$h * (*s).acc[$hu * OCTETS_A_VECTOR + SHARE * $gu + $ru].high
    //: for n
      + share$n_$h * value$n_$g_$r.high
    //: end
    ,
  );
  //: end
  //: end
  //: end
}
