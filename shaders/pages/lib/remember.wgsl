// Adding to a remainder. Needs: tables to write.
//: import lib/remainder

fn remainder_add(at: u32, x: f32) { tables[at] = bitcast<u32>(bitcast<f32>(tables[at]) + x); }

fn remainder_add_octet(at: u32, x: Octet, scale: f32) {
  for (var i = 0u; i < 4u; i += 1u) {
    remainder_add(at + i, scale * x.low[i]);
    remainder_add(at + 4u + i, scale * x.high[i]);
  }
}
