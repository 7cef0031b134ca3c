// f32: 128 bytes a block of 32. Needs: quants: array<vec4<f32>>.

fn weight_block(block: u32) -> array<vec4<f32>, 8> {
  let at = 8u * block;
  return array<vec4<f32>, 8>(
    quants[at], quants[at + 1u], quants[at + 2u], quants[at + 3u],
    quants[at + 4u], quants[at + 5u], quants[at + 6u], quants[at + 7u],
  );
}
