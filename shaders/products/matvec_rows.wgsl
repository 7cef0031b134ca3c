// y = epilogue(x W^T + bias) for one row of x, or two (TILE_M), on CPU adapters: TILE_N rows of W
// an invocation, each row read front to back, no workgroup memory, no barrier. A block of x is
// loaded and prepared once for all TILE_N rows, one of W once for all rows of x: two rows take about 1.4
// times the time of one, four save no more than two. Each row's sums are taken as if it were alone.
// Lanes of a quad load two vectors of a block of x each (lib/quad): by processor time 1.17 times as fast on SwiftShader.
// Per block and row of W: 24 bytes of q4 with f32 scales, 64 flops; x (128 bytes) from cache. Bound
// by arithmetic and by SwiftShader's lane-by-lane loads while W fits the cache, by memory past it.
// A GPU would read it uncoalesced, with 12 rows per invocation: there matvec takes its place.
// Measured (3072 x 576 in q4, SwiftShader, two cores, GFLOPS): shifts and half scales 1.3, masks in
// place of shifts 1.9 to 2.1, f32 scales 2.9, 12 rows in place of 8 3.1 to 3.7 (4 rows 2.5, 16 rows
// 2.5 to 3.5). Slower than masks: magic-number floats 1.2, vec4 sums 2.3, fma 2.2.
// Needs: lib/quad, weights_<layout>; batch, shape, x (vec4<f32>), y, streams; const RAGGED
// (K is no multiple of 32), TILE_M, TILE_N, GROUP. Unroll: n < TILE_N,
// m < TILE_M, r < SHARE, g < 8 / SHARE.
// Tested in kernels/products/matmul.
//: import products/lib/product

fn x_vec(row: u32, k: u32) -> vec4<f32> {
  if (RAGGED && k >= shape.cols4) { return vec4(0.0); }
  return x[row + k];
}

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, invocation: Invocation) {
  let n0 = id.x * TILE_N;
  let m0 = id.y * TILE_M;
  let lane = lane_of(invocation);
  //: for n
  let w$n = min(n0 + $nu, shape.rows - 1u) * shape.blocks;
  //: end
  //: for m
  let x$m = input_row(min(m0 + $mu, batch.rows - 1u)) * shape.cols4;
  //: for n
  var acc$m_$n = 0.0;
  //: end
  //: end
  let blocks = shape.blocks;
  for (var block = 0u; block < blocks; block++) {
    let k = block * 8u;
    //: for m
    //: for g
    let own$m_$g = x_vec(x$m, k + SHARE * $gu + lane);
    //: end
    let input$m = prepare(array<vec4<f32>, 8>(
      //: for g
      //: for r
      of$r(own$m_$g),
      //: end
      //: end
    ));
    //: end
    //: for n
    {
      let b = load_block(w$n + block);
      //: for m
      acc$m_$n += block_dot(b, input$m);
      //: end
    }
    //: end
  }
  // A loop: written out, the epilogues of a tile take longer to compile than all that comes before.
  var sums: array<f32, TILE_M * TILE_N>;
  //: for m
  //: for n
  sums[$mu * TILE_N + $nu] = acc$m_$n;
  //: end
  //: end
  if (n0 >= shape.rows) { return; }
  let columns = min(TILE_N, shape.rows - n0);
  for (var m = 0u; m < min(TILE_M, batch.rows - m0); m++) {
    let at = m * TILE_N;
    if (pairs()) {
      for (var n = 0u; n < columns; n += 2u) { emit_pair(m0 + m, n0 + n, sums[at + n], sums[at + n + 1u]); }
    } else {
      for (var n = 0u; n < columns; n++) { emit(m0 + m, n0 + n, sums[at + n]); }
    }
  }
}
