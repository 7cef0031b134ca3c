// y = epilogue(norm(x) W^T + bias) for a few rows of x (TILE_M, 1 to 4, a workgroup): K split over 16 lanes, two
// rows of W per lane, 16 rows per workgroup of 128. x is staged in workgroup memory in tiles of 512, so
// any K works; NORM multiplies it by the norm's gain on the way in, and the sum of squares gathered
// there scales the result.
// Per workgroup and tile: 16 x 512 weights read once, 2 KiB of x per row; 2 flops per weight and row:
// bound by memory. x from workgroup memory without bank
// conflicts. 13 KiB of workgroup memory at TILE_M 4, 4 KiB at 1: two or more groups a core.
// Needs: weights_<layout>; batch, shape, y, streams, gain_of, input_vec (x[row][4k .. 4k + 3]: as it
// lies there, or lib/joined_input); const
// ROW_BLOCKS (blocks per row), COLS4 (K / 4), NORM, EPSILON, TILE_M.
//: import products/lib/product

const LANES = 16u;
const THREADS = 128u;
const GROUP_ROWS = 16u;
// Four-vectors of a tile: lane l's block is x_tile[m][j * 17 + l]; 17 spreads the stores over banks.
const TILE4 = 128u;
const PITCH = LANES + 1u;

var<workgroup> x_tile: array<vec4<f32>, TILE_M * 8u * PITCH>;
var<workgroup> partial: array<f32, TILE_M * GROUP_ROWS * LANES>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % LANES;
  let pair = thread / LANES;
  let first_row = group.x * GROUP_ROWS;
  let m0 = group.y * TILE_M;
  let m_count = min(batch.rows - m0, TILE_M);
  let w0 = min(first_row + 2u * pair, shape.rows - 1u) * ROW_BLOCKS;
  let w1 = min(first_row + 2u * pair + 1u, shape.rows - 1u) * ROW_BLOCKS;
  //: for m
  let x$m = input_row(m0 + min($mu, m_count - 1u));
  var acc$m_0 = 0.0;
  var acc$m_1 = 0.0;
  var squares$m = 0.0;
  //: end
  let slot = (thread % 8u) * PITCH + thread / 8u;
  for (var tile = 0u; tile * TILE4 < COLS4; tile++) {
    let k = tile * TILE4 + thread;
    //: for m
    var s$m = vec4(0.0);
    if (k < COLS4) { s$m = input_vec(x$m, k); }
    if (NORM) {
      squares$m += dot(s$m, s$m);
      s$m *= gain_of(min(k, COLS4 - 1u));
    }
    x_tile[$mu * 8u * PITCH + slot] = s$m;
    //: end
    workgroupBarrier();
    let block = tile * LANES + lane;
    if (block < ROW_BLOCKS) {
      let a = load_block(w0 + block);
      let b = load_block(w1 + block);
      for (var j = 0u; j < 8u; j++) {
        let step = block_step(j);
        let wa = block_vec(a, step);
        let wb = block_vec(b, step);
        //: for m
        let v$m = x_tile[($mu * 8u + j) * PITCH + lane];
        acc$m_0 += dot(wa, v$m);
        acc$m_1 += dot(wb, v$m);
        //: end
      }
    }
    workgroupBarrier();
  }
  //: for m
  var scale$m = 1.0;
  //: end
  if (NORM) {
    //: for m
    partial[$mu * THREADS + thread] = squares$m;
    //: end
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
      if (thread < half) {
        //: for m
        partial[$mu * THREADS + thread] += partial[$mu * THREADS + thread + half];
        //: end
      }
      workgroupBarrier();
    }
    //: for m
    scale$m = inverseSqrt(partial[$mu * THREADS] / f32(COLS4 * 4u) + EPSILON);
    //: end
    workgroupBarrier();
  }
  //: for m
  partial[($mu * GROUP_ROWS + 2u * pair) * LANES + lane] = acc$m_0 * scale$m;
  partial[($mu * GROUP_ROWS + 2u * pair + 1u) * LANES + lane] = acc$m_1 * scale$m;
  //: end
  workgroupBarrier();
  let outputs = select(GROUP_ROWS, GROUP_ROWS / 2u, pairs());
  let m = thread / outputs;
  let r = thread % outputs;
  if (m >= m_count) { return; }
  if (pairs()) {
    let n = first_row + 2u * r;
    if (n >= shape.rows) { return; }
    emit_pair(m0 + m, n, row_sum(m, 2u * r), row_sum(m, 2u * r + 1u));
  } else {
    let n = first_row + r;
    if (n >= shape.rows) { return; }
    emit(m0 + m, n, row_sum(m, r));
  }
}

fn row_sum(m: u32, row: u32) -> f32 {
  let at = (m * GROUP_ROWS + row) * LANES;
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) { sum += partial[at + i]; }
  return sum;
}
