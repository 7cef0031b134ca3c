// bf16: the upper halves of f32 in file order, eight a vec4<u32>. 64 bytes a block of 32. Exact.
// Needs: quants: array<vec4<u32>>.

fn widen(a: u32, b: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(a << 16u, a & 0xffff0000u, b << 16u, b & 0xffff0000u));
}

fn weight_block(block: u32) -> array<vec4<f32>, 8> {
  let p = quants[4u * block];
  let q = quants[4u * block + 1u];
  let r = quants[4u * block + 2u];
  let s = quants[4u * block + 3u];
  return array<vec4<f32>, 8>(
    widen(p.x, p.y), widen(p.z, p.w), widen(q.x, q.y), widen(q.z, q.w),
    widen(r.x, r.y), widen(r.z, r.w), widen(s.x, s.y), widen(s.z, s.w),
  );
}
