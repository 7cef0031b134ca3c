// f16: halves in file order, eight a vec4<u32>. 64 bytes a block of 32. Exact, except that a GPU may
// flush subnormal halves (below 6.1e-5) to zero. Needs: quants: array<vec4<u32>>.

fn halves(a: u32, b: u32) -> vec4<f32> {
  return vec4(unpack2x16float(a), unpack2x16float(b));
}

fn weight_block(block: u32) -> array<vec4<f32>, 8> {
  let p = quants[4u * block];
  let q = quants[4u * block + 1u];
  let r = quants[4u * block + 2u];
  let s = quants[4u * block + 3u];
  return array<vec4<f32>, 8>(
    halves(p.x, p.y), halves(p.z, p.w), halves(q.x, q.y), halves(q.z, q.w),
    halves(r.x, r.y), halves(r.z, r.w), halves(s.x, s.y), halves(s.z, s.w),
  );
}
