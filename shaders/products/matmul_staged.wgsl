// y = epilogue(x W^T + bias) for GPUs: TILE_M rows of x by TILE_N rows of W per workgroup, 4 x 4 outputs per invocation, out
// of workgroup memory: DEPTH blocks of 32 columns of both are staged at a time, W unpacked once for TILE_M rows. The
// columns of a stage are divided among SLICES groups of invocations, whose sums are joined at the end, in order.
// matmul.wgsl has no barriers but one invocation for a whole K: right where a core runs one (CPUs), or where workgroup
// memory is no nearer than the cache. Here a row's sums are in one order whatever M is.
// Bytes per workgroup: TILE_M 4 K of x, TILE_N K / 32 blocks of W (20 bytes in q4), so the matrix is read M / TILE_M times
// and x N / TILE_N times, from the second level of cache. Flops: 2 TILE_M TILE_N K; per 4 columns an invocation reads
// 8 vectors of workgroup memory for 128 flops, which binds it (an 8 x 8 tile would halve that at twice the registers).
// Workgroups and subgroups of 32 at M 128, SmolLM2's N of 576, 960, 3,072 (register tiles 8x8/32: 48, 64, 192 of one):
//   16x32/256  144, 240, 768 of 8: at least one a core up to 144 cores; half of a tile is idle below 9 rows, not 3 / 4
//   32x32/256   72, 120, 384 of 8: half of the unpacking
//   32x32/64    72, 120, 384 of 2: no join, 8 KiB
//   64x64/256   18,  30,  96 of 8: a quarter of the reads of 16x32, for large matrices
// Workgroup memory: at most 16 KiB, in vectors of 16 bytes. Row r's vector k lies at k ^ key(r) of its row, so that 8
// neighbours, who read one column of 8 rows (or pairs of rows) of W, meet 8 different groups of 4 banks, as they do
// when they write. Registers: 16 sums, 8 vectors, and the next stage, which is on its way while this one is multiplied.
// Needs: weights_<layout>; batch, shape, x (vec4<f32>), y, streams; const ROW_BLOCKS (blocks a row), COLS4
// (K / 4), TILE_M, TILE_N (a multiple of 32), DEPTH, SLICES; loops written out by unroll: m < 4, n < 4, i < vectors of x
// and v < vectors of W that an invocation stages.
// Tested in kernels/products/matmul.
//: import products/lib/product

const LANES_M = TILE_M / 4u;
const LANES_N = TILE_N / 4u;
const THREADS = LANES_M * LANES_N * SLICES;
const PITCH = 8u * DEPTH; // vectors of a staged row
const STEPS = PITCH / SLICES; // vectors of a slice
const SHARERS = THREADS / (TILE_N * DEPTH); // invocations that unpack a block together
const UNPACKS = 8u / SHARERS;
const W_BASE = TILE_M * PITCH;
const SUMS = TILE_M * LANES_N;

// Rows of x, then rows of W; in the end the slices' sums.
var<workgroup> staged: array<vec4<f32>, max((TILE_M + TILE_N) * PITCH, SLICES * SUMS)>;

// Vector k of the row of x that begins at `row`, 0 past its end.
fn input_vec(row: u32, k: u32) -> vec4<f32> {
  if (COLS4 % PITCH == 0u || k < COLS4) { return x[row + k]; }
  return vec4<f32>();
}

// Rows n, n + 1 and, half a tile on, two more.
fn emit_four(m: u32, n: u32, sums: vec4<f32>) {
  if (m >= batch.rows) { return; }
  let far = n + 2u * LANES_N;
  if (pairs()) {
    if (n < shape.rows) { emit_pair(m, n, sums.x, sums.y); }
    if (far < shape.rows) { emit_pair(m, far, sums.z, sums.w); }
  } else {
    if (n < shape.rows) { emit(m, n, sums.x); }
    if (n + 1u < shape.rows) { emit(m, n + 1u, sums.y); }
    if (far < shape.rows) { emit(m, far, sums.z); }
    if (far + 1u < shape.rows) { emit(m, far + 1u, sums.w); }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let m0 = group.y * TILE_M;
  let n0 = group.x * TILE_N;

  // This invocation stages these: neighbours read neighbouring vectors of a row of x.
  let x_column = t % PITCH;
  //: for i
  let x_row$i = t / PITCH + $iu * (THREADS / PITCH);
  let x_from$i = input_row(min(m0 + x_row$i, batch.rows - 1u)) * COLS4;
  let x_to$i = x_row$i * PITCH + (x_column ^ (x_row$i & 7u));
  var x_next$i = input_vec(x_from$i, x_column);
  //: end
  let w_block = t / SHARERS;
  let w_row = w_block / DEPTH;
  let w_depth = w_block % DEPTH;
  let w_from = min(n0 + w_row, shape.rows - 1u) * ROW_BLOCKS;
  //: for v
  let w_part$v = t % SHARERS + ($vu + w_block) % UNPACKS * SHARERS;
  let w_step$v = block_step(w_part$v);
  let w_to$v = W_BASE + w_row * PITCH + ((8u * w_depth + w_part$v) ^ ((w_row >> 1u) & 7u));
  //: end
  var w_next = load_block(w_from + min(w_depth, ROW_BLOCKS - 1u));

  // It multiplies rows m_lane + LANES_M m of x and pairs 2 n_lane + 2 LANES_N p of W, over a slice of the columns.
  let n_lane = t % LANES_N;
  let m_lane = t / LANES_N % LANES_M;
  let slice = t / (LANES_N * LANES_M);
  //: for m
  let x_at$m = (m_lane + $mu * LANES_M) * PITCH;
  let x_key$m = (m_lane + $mu * LANES_M) & 7u;
  //: for n
  var acc$m_$n = 0.0;
  //: end
  //: end
  let w_at = W_BASE + 2u * n_lane * PITCH;
  let w_key = n_lane & 7u;

  for (var first = 0u; first < ROW_BLOCKS; first += DEPTH) {
    //: for i
    staged[x_to$i] = x_next$i;
    //: end
    //: for v
    staged[w_to$v] = block_vec(w_next, w_step$v);
    //: end
    workgroupBarrier();
    let next = first + DEPTH;
    if (next < ROW_BLOCKS) {
      // Past the end of K, W meets zeros.
      w_next = load_block(w_from + min(next + w_depth, ROW_BLOCKS - 1u));
      //: for i
      x_next$i = input_vec(x_from$i, 8u * next + x_column);
      //: end
    }
    for (var j = 0u; j < STEPS; j++) {
      let k = slice * STEPS + j;
      //: for m
      let a$m = staged[x_at$m + (k ^ x_key$m)];
      //: end
      //: for n
      {
        let w = staged[w_at + ($nu % 2u + $nu / 2u * 2u * LANES_N) * PITCH + (k ^ w_key)];
        //: for m
        acc$m_$n = fma(w.w, a$m.w, fma(w.z, a$m.z, fma(w.y, a$m.y, fma(w.x, a$m.x, acc$m_$n))));
        //: end
      }
      //: end
    }
    workgroupBarrier();
  }

  if (SLICES == 1u) {
    //: for m
    emit_four(m0 + m_lane + $mu * LANES_M, n0 + 2u * n_lane, vec4(acc$m_0, acc$m_1, acc$m_2, acc$m_3));
    //: end
  } else {
    //: for m
    staged[slice * SUMS + (m_lane + $mu * LANES_M) * LANES_N + n_lane] = vec4(acc$m_0, acc$m_1, acc$m_2, acc$m_3);
    //: end
    workgroupBarrier();
    for (var i = t; i < SUMS; i += THREADS) {
      var sums = staged[i];
      for (var s = 1u; s < SLICES; s++) { sums += staged[s * SUMS + i]; }
      emit_four(m0 + i / LANES_N, n0 + 2u * (i % LANES_N), sums);
    }
  }
}
