// y = epilogue(x W^T + bias), a register tile of TILE_M rows of x by TILE_N rows of W an
// invocation, straight from storage: no workgroup memory, no barrier.
// Needs: lib/product, weights_<layout>; batch, shape, x (vec4<f32>), y, streams; const ROW_BLOCKS
// (blocks a row), COLS4 (K / 4), RAGGED (K is no multiple of 32), TILE_M, TILE_N, GROUP.

fn x_block(row: u32, block: u32) -> array<vec4<f32>, 8> {
  let k = block * 8u;
  let at = row + k;
  if (RAGGED && k + 8u > COLS4) {
    var tail: array<vec4<f32>, 8>;
    //: for j
    if (k + $ju < COLS4) { tail[$j] = x[at + $ju]; }
    //: end
    return tail;
  }
  return array<vec4<f32>, 8>(
    x[at], x[at + 1u], x[at + 2u], x[at + 3u], x[at + 4u], x[at + 5u], x[at + 6u], x[at + 7u],
  );
}

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
    //: for m
    let a$m = x_block(x$m, block);
    //: end
    //: for n
    {
      let w = weight_block(w$n + block);
      //: for m
      acc$m_$n += ((dot(w[0], a$m[0]) + dot(w[1], a$m[1])) + (dot(w[2], a$m[2]) + dot(w[3], a$m[3])))
        + ((dot(w[4], a$m[4]) + dot(w[5], a$m[5])) + (dot(w[6], a$m[6]) + dot(w[7], a$m[7])));
      //: end
    }
    //: end
  }
  //: for m
  if (m0 + $mu < batch.rows) {
    if (SWIGLU) {
      //: for pair
      if (n0 + $pair.evenu < shape.rows) {
        emit_pair(m0 + $mu, n0 + $pair.evenu, acc$m_$pair.even, acc$m_$pair.odd);
      }
      //: end
    } else {
      //: for n
      if (n0 + $nu < shape.rows) { emit(m0 + $mu, n0 + $nu, acc$m_$n); }
      //: end
    }
  }
  //: end
}
