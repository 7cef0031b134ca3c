// One invocation attends to one key at a time with QUERIES queries of a kv head, everything in registers.
// For CPU adapters, where an invocation is a lane of SIMD: loads are dear, workgroup memory is cleared by
// every invocation, and registers are the stack. Needs: HEAD_DIM, QUERIES; loops written out by unroll:
// h < QUERIES, o < D / 8. SOURCE is the name of the binding (array<vec4<u32>>) that holds the pages.

struct State {
  last: array<u32, QUERIES>, // query h sees rows <= last[h]
  highest: array<f32, QUERIES>,
  sum: array<f32, QUERIES>,
  query: array<vec4<f32>, QUERIES * HEAD_DIM / 4u>, // times 1 / sqrt(D)
  acc: array<vec4<f32>, QUERIES * HEAD_DIM / 4u>,
}

//: source
// Key and value at words 4 * key and 4 * value of SOURCE; `row` is the key's row in the chunk, 0 in the cache.
fn attend_SOURCE(s: ptr<function, State>, key: u32, value: u32, row: u32) {
  //: for h
  var dot$h = vec4<f32>();
  //: end
  //: for o
  {
    let packed = SOURCE[key + $ou];
    let low = vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y));
    let high = vec4<f32>(unpack2x16float(packed.z), unpack2x16float(packed.w));
    //: for h
    dot$h = fma((*s).query[$hu * HEAD_DIM / 4u + $o.evenu], low, dot$h);
    dot$h = fma((*s).query[$hu * HEAD_DIM / 4u + $o.oddu], high, dot$h);
    //: end
  }
  //: end
  //: for h
  let logit$h = dot$h.x + dot$h.y + dot$h.z + dot$h.w;
  let visible$h = row <= (*s).last[$hu];
  if (visible$h && logit$h > (*s).highest[$hu]) {
    let rescale = exp((*s).highest[$hu] - logit$h);
    (*s).highest[$hu] = logit$h;
    (*s).sum[$hu] *= rescale;
    //: for o
    (*s).acc[$hu * HEAD_DIM / 4u + $o.evenu] *= rescale;
    (*s).acc[$hu * HEAD_DIM / 4u + $o.oddu] *= rescale;
    //: end
  }
  let weight$h = select(0.0, exp(logit$h - (*s).highest[$hu]), visible$h);
  (*s).sum[$hu] += weight$h;
  //: end
  //: for o
  {
    let packed = SOURCE[value + $ou];
    let low = vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y));
    let high = vec4<f32>(unpack2x16float(packed.z), unpack2x16float(packed.w));
    //: for h
    (*s).acc[$hu * HEAD_DIM / 4u + $o.evenu] = fma(vec4<f32>(weight$h), low, (*s).acc[$hu * HEAD_DIM / 4u + $o.evenu]);
    (*s).acc[$hu * HEAD_DIM / 4u + $o.oddu] = fma(vec4<f32>(weight$h), high, (*s).acc[$hu * HEAD_DIM / 4u + $o.oddu]);
    //: end
  }
  //: end
}
