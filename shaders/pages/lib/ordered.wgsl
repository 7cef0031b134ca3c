// An unsigned key in the order of the float with these bits: -inf < ... < -0 = +0 < ... < +inf; NaN counts as -inf.
fn ordered_key(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude == 0u) { return 0x80000000u; }
  if (magnitude > 0x7f800000u) { return 0x007fffffu; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}
