// y = epilogue(x W^T + bias), a register tile of TILE_M rows of x by TILE_N rows of W an
// invocation, straight from storage: no workgroup memory, no barrier.
// Per 4 columns an 8x8 tile loads 8 vectors of x and (once a block) 8 blocks of W, unpacks 8 vectors
// of weights (5 operations each) and does 256 multiply-adds: 512 flops for 128 bytes of x and 20 of
// q4 weights. Neighbouring invocations share x (broadcast) but read W a tile apart, from cache lines
// they use up within a block or two. About 150 registers an invocation at 8x8: a quarter of a GPU's
// full occupancy, with 64 independent sums an invocation to hide latency.
// The loop over four columns stays a loop: unrolled to 32 columns SwiftShader took minutes to
// compile an 8x8 tile. Measured (tests/bench/matmul.mjs, 8x8, M 64): 3 to 5 GFLOPS on two cores.
// Needs: lib/product, weights_<layout>; batch, shape, x (vec4<f32>), y, streams; const ROW_BLOCKS
// (blocks a row), COLS4 (K / 4), RAGGED (K is no multiple of 32), TILE_M, TILE_N, GROUP.

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let n0 = id.x * TILE_N;
  let m0 = id.y * TILE_M;
  if (n0 >= shape.rows || m0 >= batch.rows) { return; }
  //: for n
  let w$n = min(n0 + $nu, shape.rows - 1u) * ROW_BLOCKS;
  //: end
  //: for m
  let x$m = input_row(min(m0 + $mu, batch.rows - 1u)) * COLS4;
  //: for n
  var acc$m_$n = 0.0;
  //: end
  //: end
  for (var block = 0u; block < ROW_BLOCKS; block++) {
    //: for n
    let b$n = load_block(w$n + block);
    //: end
    for (var j = 0u; j < 8u; j++) {
      let k = block * 8u + j;
      if (RAGGED && k >= COLS4) { break; }
      let step = block_step(j);
      //: for m
      let a$m = x[x$m + k];
      //: end
      //: for n
      {
        let w = block_vec(b$n, step);
        //: for m
        acc$m_$n += dot(w, a$m);
        //: end
      }
      //: end
    }
  }
  // A loop: written out, the epilogues of a tile take longer to compile than all that comes before.
  var sums: array<f32, TILE_M * TILE_N>;
  //: for m
  //: for n
  sums[$mu * TILE_N + $nu] = acc$m_$n;
  //: end
  //: end
  let columns = min(TILE_N, shape.rows - n0);
  for (var m = 0u; m < min(TILE_M, batch.rows - m0); m++) {
    let at = m * TILE_N;
    if (SWIGLU) {
      for (var n = 0u; n < columns; n += 2u) { emit_pair(m0 + m, n0 + n, sums[at + n], sums[at + n + 1u]); }
    } else {
      for (var n = 0u; n < columns; n++) { emit(m0 + m, n0 + n, sums[at + n]); }
    }
  }
}
