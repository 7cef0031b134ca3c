// y = epilogue(x W^T + bias), a register tile of TILE_M rows of x by TILE_N rows of W an
// invocation, straight from storage: no workgroup memory, no barrier.
// Per 4 columns an 8x8 tile loads 8 vectors of x and (once a block) 8 blocks of W, unpacks 8 vectors
// of weights (5 operations each) and does 256 multiply-adds: 512 flops for 128 bytes of x and 20 of
// q4 weights. Neighbouring invocations share x (in quads they load two vectors each and swap, else by broadcast) but
// read W a tile apart, from cache lines they use up within a block or two. About 150 registers an invocation at 8x8: a
// quarter of a GPU's full occupancy, with 64 independent sums per invocation to hide latency.
// In a quad a lane's sum of row R is that of row R ^ lane, in four rows: W is its own, so no sum changes its order.
// The loop over four columns stays a loop: unrolled to 32 columns SwiftShader took minutes to
// compile an 8x8 tile. Measured (8x8, M 64 and 128, SwiftShader, two cores): 3.5 to 5 GFLOPS
// alone, 5.5 to 8 in quads; of the time alone, loads of x were half.
// K and the epilogue are read from the shape: a kernel serves all products of a layout, and a first token waits for one.
// Needs: lib/quad, weights_<layout>; batch, shape, x (vec4<f32>), y, streams; const RAGGED (K is no multiple of 32), TILE_M, TILE_N, GROUP. Unroll: n < TILE_N, r < SHARE,
// g < TILE_M / SHARE.
//: import products/lib/product

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, invocation: Invocation) {
  let n0 = id.x * TILE_N;
  let m0 = id.y * TILE_M;
  let lane = lane_of(invocation);
  //: for n
  let w$n = min(n0 + $nu, shape.rows - 1u) * shape.blocks;
  //: end
  //: for g
  let x$g = input_row(min(m0 + SHARE * $gu + lane, batch.rows - 1u)) * shape.cols4;
  //: for r
  //: for n
  var acc$g_$r_$n = 0.0;
  //: end
  //: end
  //: end
  let blocks = shape.blocks;
  let cols4 = shape.cols4;
  for (var block = 0u; block < blocks; block++) {
    //: for n
    let b$n = load_block(w$n + block);
    //: end
    for (var j = 0u; j < 8u; j++) {
      let k = block * 8u + j;
      if (RAGGED && k >= cols4) { break; }
      let step = block_step(j);
      //: for g
      let own$g = x[x$g + k];
      //: for r
      let a$g_$r = from$r(own$g);
      //: end
      //: end
      //: for n
      {
        let w = block_vec(b$n, step);
        //: for g
        //: for r
        acc$g_$r_$n += dot(w, a$g_$r);
        //: end
        //: end
      }
      //: end
    }
  }
  // A loop: written out, the epilogues of a tile take longer to compile than all that comes before.
  var sums: array<f32, TILE_M * TILE_N>;
  //: for g
  //: for r
  //: for n
  sums[(SHARE * $gu + $ru) * TILE_N + $nu] = acc$g_$r_$n;
  //: end
  //: end
  //: end
  if (n0 >= shape.rows) { return; }
  let columns = min(TILE_N, shape.rows - n0);
  for (var i = 0u; i < TILE_M; i++) {
    let at = i * TILE_N;
    let m = i ^ lane;
    if (m0 + m >= batch.rows) { continue; }
    if (pairs()) {
      for (var n = 0u; n < columns; n += 2u) { emit_pair(m0 + m, n0 + n, sums[at + n], sums[at + n + 1u]); }
    } else {
      for (var n = 0u; n < columns; n++) { emit(m0 + m, n0 + n, sums[at + n]); }
    }
  }
}
