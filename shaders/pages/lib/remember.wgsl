// Adding to a remainder. Needs: tables to write.
//: import lib/remainder

// keep: what is left of what is there, as a factor.
fn remainder_add(at: u32, keep: f32, x: f32) { tables[at] = bitcast<u32>(keep * bitcast<f32>(tables[at]) + x); }

fn remainder_add_octet(at: u32, keep: f32, x: Octet, scale: f32) {
  for (var i = 0u; i < 4u; i += 1u) {
    remainder_add(at + i, keep, scale * x.low[i]);
    remainder_add(at + 4u + i, keep, scale * x.high[i]);
  }
}
