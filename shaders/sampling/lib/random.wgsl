// 32 random bits from a counter: pcg3d of Jarzynski and Olano, "Hash Functions for GPU Rendering" (2020).
fn random_bits(seed_low: u32, seed_high: u32, step: u32) -> u32 {
  var v = vec3<u32>(seed_low, seed_high, step) * 1664525u + 1013904223u;
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v ^= v >> vec3<u32>(16u);
  v.x += v.y * v.z;
  return v.x;
}
