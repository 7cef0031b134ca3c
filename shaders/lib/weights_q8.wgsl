// q8 (Q8_0): 32 signed bytes in two vec4<u32>, weight = scale * code, scale in f32. 36 bytes a
// block. Byte j of component c of vector v is weight 16v + 4j + c.
// Needs: quants: array<vec4<u32>>, scales: array<f32>.

// The 32 weights of a block, four a vector; scale * code is exact in f32 (at most 19 bits).
fn weight_block(block: u32) -> array<vec4<f32>, 8> {
  let q = vec4<i32>(quants[2u * block]);
  let r = vec4<i32>(quants[2u * block + 1u]);
  let d = vec4(scales[block]);
  return array<vec4<f32>, 8>(
    d * vec4<f32>((q << vec4(24u)) >> vec4(24u)),
    d * vec4<f32>((q << vec4(16u)) >> vec4(24u)),
    d * vec4<f32>((q << vec4(8u)) >> vec4(24u)),
    d * vec4<f32>(q >> vec4(24u)),
    d * vec4<f32>((r << vec4(24u)) >> vec4(24u)),
    d * vec4<f32>((r << vec4(16u)) >> vec4(24u)),
    d * vec4<f32>((r << vec4(8u)) >> vec4(24u)),
    d * vec4<f32>(r >> vec4(24u)),
  );
}
