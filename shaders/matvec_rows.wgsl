// y = epilogue(x W^T + bias) for one row of x (M dispatched as y) on CPU adapters: TILE_N rows of W
// an invocation, each row read front to back, no workgroup memory, no barrier. A block of x is
// loaded and prepared once for all TILE_N rows.
// Per block and row of W: 24 bytes of q4 with f32 scales, 64 flops; x (128 bytes) from cache. Bound
// by arithmetic and by SwiftShader's lane-by-lane loads while W fits the cache, by memory past it.
// A GPU would read it uncoalesced, with 12 rows an invocation: there matvec takes its place.
// Measured (3072 x 576 in q4, SwiftShader, two cores, GFLOPS): shifts and half scales 1.3, masks in
// place of shifts 1.9 to 2.1, f32 scales 2.9, 12 rows in place of 8 3.1 to 3.7 (4 rows 2.5, 16 rows
// 2.5 to 3.5). Slower than masks: magic-number floats 1.2, vec4 sums 2.3, fma 2.2.
// Needs: lib/product, weights_<layout>; batch, shape, x (vec4<f32>), y, streams; const ROW_BLOCKS
// (blocks a row), COLS4 (K / 4), RAGGED (K is no multiple of 32), TILE_N, GROUP.

fn x_vec(row: u32, k: u32) -> vec4<f32> {
  if (RAGGED && k >= COLS4) { return vec4(0.0); }
  return x[row + k];
}

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let n0 = id.x * TILE_N;
  let m = id.y;
  if (n0 >= shape.rows || m >= batch.rows) { return; }
  //: for n
  let w$n = min(n0 + $nu, shape.rows - 1u) * ROW_BLOCKS;
  var acc$n = 0.0;
  //: end
  let row = input_row(m) * COLS4;
  for (var block = 0u; block < ROW_BLOCKS; block++) {
    let k = block * 8u;
    let input = prepare(array<vec4<f32>, 8>(
      x_vec(row, k), x_vec(row, k + 1u), x_vec(row, k + 2u), x_vec(row, k + 3u),
      x_vec(row, k + 4u), x_vec(row, k + 5u), x_vec(row, k + 6u), x_vec(row, k + 7u),
    ));
    //: for n
    acc$n += block_dot(load_block(w$n + block), input);
    //: end
  }
  if (SWIGLU) {
    //: for pair
    if (n0 + $pair.evenu < shape.rows) { emit_pair(m, n0 + $pair.evenu, acc$pair.even, acc$pair.odd); }
    //: end
  } else {
    //: for n
    if (n0 + $nu < shape.rows) { emit(m, n0 + $nu, acc$n); }
    //: end
  }
}
